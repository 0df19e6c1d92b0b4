#include "snapshot/definitions.h"

#include "core/log.h"
#include "pg/ledger.h"

#include <string.h>

/* $1: the target table, $2: the flow's key columns, whose unique index must stay */
static const char list_sql[] =
    "SELECT * FROM ("
    "SELECT 'foreign key', c.conrelid::regclass::text, c.conname::text,"
    "       format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', c.conrelid::regclass, c.conname,"
    "              pg_get_constraintdef(c.oid), CASE WHEN c.convalidated THEN ' NOT VALID' END),"
    "       format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),"
    "       c.convalidated, NOT c.condeferrable, 1 AS turn"
    "  FROM pg_constraint c"
    " WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid = $1::regclass "
    "UNION ALL "
    "SELECT 'unique', c.conrelid::regclass::text, c.conname::text,"
    "       format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname,"
    "              pg_get_constraintdef(c.oid)),"
    "       format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),"
    "       false, false, 2"
    "  FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid"
    " WHERE c.contype IN ('u', 'x') AND c.conrelid = $1::regclass AND NOT i.indisreplident"
    "   AND (c.condeferrable OR $2::text[] IS NULL OR NOT ("
    "     SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a"
    "      WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey))"
    "     = (SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) k)) "
    "UNION ALL "
    "SELECT 'unique', i.indrelid::regclass::text, x.relname::text, pg_get_indexdef(x.oid),"
    "       format('DROP INDEX %s', x.oid::regclass), false, false, 2"
    "  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    " WHERE i.indisunique AND i.indisvalid AND NOT i.indisreplident"
    "   AND i.indrelid = $1::regclass"
    "   AND NOT EXISTS (SELECT FROM pg_constraint c"
    "                    WHERE c.conindid = x.oid AND c.contype IN ('p', 'u', 'x'))"
    "   AND ($2::text[] IS NULL OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR NOT ("
    "     SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a"
    "      WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))"
    "     = (SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) k))"
    ") d ORDER BY turn";

/* Another ALTER TABLE of the same constraint. */
static const char *alter_sql(struct arena *a, const struct ledger_definition *d, const char *verb,
			     const char *then)
{
	const char *drop = " DROP CONSTRAINT ";
	const char *name = strstr(d->drop, drop);

	return arena_printf(a, "ALTER TABLE %s %s CONSTRAINT %s%s", d->table, verb,
			    name ? name + strlen(drop) : "", then);
}

static bool save_as(const struct plan *plan, struct pg *target, const struct ledger_definition *d,
		    const char *kind, const char *create, struct err *e)
{
	struct ledger_definition other = *d;

	other.kind = kind;
	other.create = create;
	return ledger_add_definition(target, plan->migration, &other, e);
}

/* Made again without a look at the rows, and deferrable while the stream runs. */
static bool save_foreign_key(const struct plan *plan, struct pg *target,
			     const struct ledger_definition *d, bool validate, bool settle,
			     struct err *e)
{
	struct arena scratch = ARENA_INIT;
	const char *create = arena_printf(&scratch, "%s; %s", d->create,
					  alter_sql(&scratch, d, "ALTER", " DEFERRABLE"));
	bool ok = save_as(plan, target, d, d->kind, settle ? create : d->create, e) &&
		  (!validate || save_as(plan, target, d, "validate",
					alter_sql(&scratch, d, "VALIDATE", ""), e)) &&
		  (!settle || save_as(plan, target, d, "settle",
				      alter_sql(&scratch, d, "ALTER", " NOT DEFERRABLE"), e));

	arena_finish(&scratch);
	return ok;
}

static bool put_away_one(const struct plan *plan, struct pg *target, const struct pg_result *r,
			 unsigned row, struct err *e)
{
	struct ledger_definition d = { .kind = pg_text(r, row, 0),
				       .table = pg_text(r, row, 1),
				       .name = pg_text(r, row, 2),
				       .create = pg_text(r, row, 3),
				       .drop = pg_text(r, row, 4) };
	bool saved =
	    strcmp(d.kind, "foreign key") == 0
		? save_foreign_key(plan, target, &d, pg_bool(r, row, 5), pg_bool(r, row, 6), e)
		: ledger_add_definition(target, plan->migration, &d, e);

	return saved &&
	       (pg_exec(target, d.drop, e) || err_wrap(e, "drop %s of %s", d.name, d.table));
}

static bool put_away_target(const struct plan *plan, const struct flow_plan *f, struct pg *target,
			    struct err *e)
{
	const char *params[] = { f->target, f->key_array };
	struct pg_result *r = NULL;
	bool ok = pg_query(target, list_sql, 2, params, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		ok = put_away_one(plan, target, r, i, e);
	pg_result_free(r);
	return ok;
}

bool definitions_put_away(const struct plan *plan, struct pg *target, struct err *e)
{
	bool ok = pg_begin(target, e);

	for (unsigned i = 0; ok && i < plan->ntables; i++)
		for (unsigned k = 0; ok && k < plan->tables[i].nflows; k++)
			ok = put_away_target(plan, &plan->tables[i].flows[k], target, e);
	ok = ok && pg_commit(target, e);
	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "put the target's constraints away");
}

static bool restore_one(const char *migration, const struct ledger_definition *d, struct pg *target,
			struct err *e)
{
	bool ok = pg_begin(target, e) && pg_exec(target, d->create, e) &&
		  ledger_drop_definition(target, migration, d, e) && pg_commit(target, e);

	if (!ok) {
		pg_rollback(target);
		return err_wrap(e, "bring back %s of %s", d->name, d->table);
	}
	log_event(LOG_INFO, "definition.restored", "kind=\"%s\" table=%s name=%s", d->kind,
		  d->table, d->name);
	return true;
}

static bool restore_kinds(const char *migration, const char *const *kinds, size_t nkinds,
			  struct pg *target, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct ledger_definition *all;
	unsigned count = 0;
	bool ok = ledger_definitions(target, migration, &scratch, &all, &count, e);

	for (size_t kind = 0; ok && kind < nkinds; kind++)
		for (unsigned i = 0; ok && i < count; i++)
			if (strcmp(all[i].kind, kinds[kind]) == 0)
				ok = restore_one(migration, &all[i], target, e);
	arena_finish(&scratch);
	return ok;
}

bool definitions_restore(const char *migration, struct pg *target, struct err *e)
{
	/* a foreign key may refer to a unique constraint that is away too */
	static const char *const kinds[] = { "unique", "foreign key", "validate" };

	return restore_kinds(migration, kinds, sizeof kinds / sizeof *kinds, target, e);
}

bool definitions_settle(const char *migration, struct pg *target, struct err *e)
{
	static const char *const kinds[] = { "settle" };

	return restore_kinds(migration, kinds, 1, target, e);
}
