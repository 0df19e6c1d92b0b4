/* What else happens when the new table is written: triggers, rules, cascades to others. */
#include "transform/check.h"

#include "pg/conn.h"
#include "pg/quote.h"
#include "transform/sql.h"

/* $1: the target, with its partitions. $2: all targets. What, name, table. */
static const char beside_sql[] =
    "WITH tree AS (SELECT $1::regclass::oid AS rel UNION"
    "  SELECT relid FROM pg_partition_tree($1::regclass))"
    "SELECT 'trigger', t.tgname, t.tgrelid::regclass::text FROM pg_trigger t JOIN tree"
    "  ON tree.rel = t.tgrelid WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')"
    "  AND t.tgparentid = 0 "
    "UNION ALL SELECT 'rule', r.rulename, r.ev_class::regclass::text FROM pg_rewrite r JOIN tree"
    "  ON tree.rel = r.ev_class WHERE r.ev_enabled IN ('O', 'A') AND r.ev_type <> '1' "
    "UNION ALL SELECT 'cascade', c.conname, c.conrelid::regclass::text FROM pg_constraint c"
    "  WHERE c.contype = 'f' AND c.confrelid = $1::regclass AND c.conparentid = 0"
    "  AND c.confdeltype IN ('c', 'n', 'd') AND NOT EXISTS (SELECT FROM unnest($2::text[]) n"
    "   WHERE c.conrelid = to_regclass(n)) ORDER BY 1 DESC, 2";

static void report(struct check *c, const struct flow *f, const char *what, const char *name,
		   const char *table)
{
	if (strcmp(what, "trigger") == 0)
		check_warn_at(c, f->subject, f->def->to_place,
			      "trigger %s of %s fires for copied and streamed rows as for an "
			      "application's, and what it changes is not what the SELECT gives; "
			      "disable it until the switch if it must not",
			      name, table);
	else if (strcmp(what, "rule") == 0)
		check_fail_at(c, f->subject, f->def->to_place,
			      "%s has rule %s, which COPY passes by and the stream does not, so "
			      "rows would depend on when they came; disable it until the switch: "
			      "ALTER TABLE %s DISABLE RULE %s;",
			      table, name, table, arena_ident(c->arena, name));
	else
		check_warn_at(c, f->subject, f->def->to_place,
			      "foreign key %s of %s, which no flow writes, removes or changes rows "
			      "there when the stream deletes rows of %s.%s, also for the moment of "
			      "a DELETE and INSERT; drop it until the switch if that must not be",
			      name, table, f->to->schema, f->to->name);
}

bool check_writes(struct check *c, struct flow *f, struct err *e)
{
	const char *params[] = { arena_qualified(c->arena, f->to->schema, f->to->name),
				 check_targets(c) };
	struct pg_result *r = NULL;
	bool ok = pg_query(c->target.pg, beside_sql, 2, params, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		report(c, f, pg_text(r, i, 0), pg_text(r, i, 1), pg_text(r, i, 2));
	pg_result_free(r);
	return ok;
}
