#include "pg/ledger.h"

/* In the order in which they are done. A `validate` that is left waits for rows: `retry` did not
 * bring their parents. */
#define KINDS "'settle', 'confirm', 'validate'"

/* What waits with its foreign key is nothing to settle. */
#define NOT_AWAY                                                                                   \
	"NOT EXISTS (SELECT FROM pgcrossfade.definition away WHERE away.migration = d.migration"   \
	" AND away.table_name = d.table_name AND away.name = d.name AND away.kind = 'foreign key')"

/* As quote_ident() writes one; then a list of them, and a table's. */
#define IDENT "(?:\"(?:[^\"]|\"\")*\"|[^\" .,();]+)"
#define IDENTS IDENT "(?:, " IDENT ")*"
#define TABLE IDENT "\\." IDENT

/*
 * By the table's name. A ledger of an earlier version may come here after the switch: the table
 * may have another name then, and its name be another's; so the foreign key has to be in the
 * state that the stream needs it in, or settled already and only to be confirmed; and where that
 * table has none, to be the only one.
 */
static const char mark_sql[] =
    "WITH streamed AS (SELECT oid, conrelid, conname, convalidated, condeferrable"
    "  FROM pg_constraint WHERE contype = 'f' AND conparentid = 0),"
    " ours AS (SELECT d.*, NOT EXISTS (SELECT FROM pgcrossfade.definition s"
    "   WHERE s.migration = d.migration AND s.table_name = d.table_name AND s.name = d.name"
    "   AND s.kind = 'settle') AS settled"
    "  FROM pgcrossfade.definition d WHERE d.migration = $1 AND d.made IS NULL"
    "  AND d.kind IN (" KINDS ") AND " NOT_AWAY "),"
    " wanted AS (SELECT d.id, coalesce("
    "   (SELECT s.oid FROM streamed s WHERE s.conname = d.name"
    "     AND s.conrelid = to_regclass(d.table_name) AND (s.condeferrable OR d.settled)),"
    "   (SELECT max(s.oid) FROM streamed s WHERE s.conname = d.name AND (s.condeferrable OR"
    "     d.settled AND NOT s.convalidated) HAVING count(*) = 1)) AS made FROM ours d) "
    "UPDATE pgcrossfade.definition d SET made = w.made,"
    " create_sql = CASE WHEN d.kind = 'validate' THEN d.create_sql"
    "  ELSE regexp_replace(regexp_replace(d.create_sql,"
    "   '^ALTER TABLE " TABLE " (ALTER|VALIDATE) CONSTRAINT " IDENT "( NOT DEFERRABLE)?$',"
    "   'ALTER TABLE %1$s \\1 CONSTRAINT %2$s\\2'),"
    "   '^ALTER TABLE " TABLE " DROP CONSTRAINT " IDENT "; ALTER TABLE " TABLE
    " ADD CONSTRAINT " IDENT " FOREIGN KEY \\(" IDENTS "\\) REFERENCES " TABLE "\\(" IDENTS
    "\\)(.*?)(?:; COMMENT ON CONSTRAINT .*)?$',"
    "   'ALTER TABLE %1$s DROP CONSTRAINT %2$s; ALTER TABLE %1$s ADD CONSTRAINT %2$s"
    " FOREIGN KEY (%3$s) REFERENCES %4$s(%5$s)\\1%6$s') END"
    " FROM wanted w WHERE d.id = w.id AND w.made IS NOT NULL";

bool ledger_mark_made(struct pg *target, const char *migration, struct err *e)
{
	return pg_query(target, mark_sql, 1, &migration, NULL, e) ||
	       err_wrap(e, "note which foreign keys are to be settled");
}

#define COLUMNS(table, numbers)                                                                    \
	"(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n.place)"                        \
	" FROM unnest(" numbers ") WITH ORDINALITY n(no, place)"                                   \
	" JOIN pg_attribute a ON a.attrelid = " table " AND a.attnum = n.no)"

static const char settlements_sql[] =
    "SELECT d.kind, d.table_name, d.name, d.made IS NOT NULL, c.conrelid::regclass, c.conname,"
    " c.confrelid::regclass,"
    " CASE WHEN c.oid IS NOT NULL THEN format(CASE WHEN d.kind = 'validate'"
    "  THEN 'ALTER TABLE %1$s VALIDATE CONSTRAINT %2$s' ELSE d.create_sql END, c.conrelid::regclass,"
    "  quote_ident(c.conname), " COLUMNS(
	"c.conrelid",
	"c.conkey") ", c.confrelid::regclass,"
		    "  " COLUMNS(
			"c.confrelid",
			"c.confkey") ","
				     "  format('; COMMENT ON CONSTRAINT %I ON %s IS ', c.conname, c.conrelid::regclass)"
				     "   || quote_literal(obj_description(c.oid, 'pg_constraint'))) END"
				     " FROM pgcrossfade.definition d LEFT JOIN pg_constraint c ON c.oid = d.made"
				     " WHERE d.migration = $1 AND d.kind IN (" KINDS
				     ") AND (d.made IS NOT NULL OR d.kind <> 'validate') AND " NOT_AWAY
				     " ORDER BY array_position(ARRAY[" KINDS "], d.kind), d.id";

bool ledger_settlements(struct pg *target, const char *migration, struct arena *a,
			struct ledger_settlement **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target, settlements_sql, 1, &migration, &r, e))
		return err_wrap(e, "read which foreign keys are to be settled");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct ledger_settlement){
			.saved = { .kind = arena_strdup(a, pg_text(r, i, 0)),
				   .table = arena_strdup(a, pg_text(r, i, 1)),
				   .name = arena_strdup(a, pg_text(r, i, 2)),
				   .create = arena_strdup(a, pg_text(r, i, 7)) },
			.marked = pg_bool(r, i, 3),
			.table = arena_strdup(a, pg_text(r, i, 4)),
			.name = arena_strdup(a, pg_text(r, i, 5)),
			.refers_to = arena_strdup(a, pg_text(r, i, 6)),
		};
	pg_result_free(r);
	return true;
}

/* What is still to be confirmed has another oid when it was made anew. */
static const char follow_sql[] =
    "UPDATE pgcrossfade.definition SET made = (SELECT oid FROM pg_constraint"
    "  WHERE contype = 'f' AND conrelid = to_regclass($4) AND conname = $5)"
    " WHERE migration = $1 AND table_name = $2 AND name = $3 AND kind IN ('confirm', 'validate')";

bool ledger_settled(struct pg *target, const char *migration, const struct ledger_settlement *s,
		    struct err *e)
{
	const char *params[] = { migration, s->saved.table, s->saved.name, s->table, s->name };

	if (!ledger_drop_definition(target, migration, &s->saved, e))
		return false;
	return pg_query(target, follow_sql, 5, params, NULL, e) ||
	       err_wrap(e, "note that %s of %s is made anew", s->name, s->table);
}
