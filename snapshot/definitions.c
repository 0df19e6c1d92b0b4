#include "snapshot/definitions.h"

#include "core/log.h"
#include "pg/ledger.h"
#include "pg/team.h"

#include <stdlib.h>
#include <string.h>

/* $1: the target table. Kind, table, name, create, drop, validate, settle. */
static const char foreign_keys_sql[] =
    "SELECT 'foreign key', c.conrelid::regclass::text, c.conname::text,"
    "       format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', c.conrelid::regclass, c.conname,"
    "              pg_get_constraintdef(c.oid), CASE WHEN c.convalidated THEN ' NOT VALID' END),"
    "       format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),"
    "       c.convalidated, NOT c.condeferrable"
    "  FROM pg_constraint c"
    " WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid = $1::regclass";

/* $2: the flow's key columns. What the index is for, and what its definition leaves out. */
static const char indexes_sql[] =
    "WITH indexes AS ("
    " SELECT i.*, x.oid, x.relname, i.indrelid::regclass AS tab, x.oid::regclass AS idx,"
    "  c.oid AS con, c.condeferrable AS late,"
    "  concat(CASE WHEN i.indisclustered"
    "    THEN format('; ALTER TABLE %s CLUSTER ON %I', i.indrelid::regclass, x.relname) END,"
    "   CASE WHEN t.spcname IS NOT NULL"
    "    THEN format('; ALTER INDEX %I.%I SET TABLESPACE %I', n.nspname, x.relname, t.spcname) END,"
    "   '; COMMENT ON INDEX ' || format('%I.%I', n.nspname, x.relname) || ' IS '"
    "    || quote_literal(obj_description(x.oid, 'pg_class')),"
    "   '; COMMENT ON CONSTRAINT ' || quote_ident(c.conname) || ' ON '"
    "    || i.indrelid::regclass || ' IS ' || quote_literal(obj_description(c.oid, 'pg_constraint'))"
    "  ) AS rest,"
    "  coalesce(i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND ("
    "   SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a"
    "    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))"
    "   = (SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) k), false) AS flow_key"
    "  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    "  JOIN pg_namespace n ON n.oid = x.relnamespace"
    "  LEFT JOIN pg_tablespace t ON t.oid = x.reltablespace"
    "  LEFT JOIN pg_constraint c ON c.conindid = x.oid AND c.contype IN ('p', 'u', 'x')"
    " WHERE i.indrelid = $1::regclass AND i.indisvalid AND NOT i.indisreplident) "
    "SELECT CASE WHEN NOT indisunique AND NOT indisexclusion THEN 'index'"
    "            WHEN indisprimary OR (flow_key AND late IS NOT TRUE) THEN 'key'"
    "            ELSE 'unique' END,"
    "       tab::text, relname::text,"
    "       CASE WHEN con IS NULL THEN pg_get_indexdef(oid)"
    "            ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', tab, relname,"
    "                        pg_get_constraintdef(con)) END || rest,"
    "       CASE WHEN con IS NULL THEN format('DROP INDEX %s', idx)"
    "            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', tab, relname) END,"
    "       false, false FROM indexes";

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

static bool save_and_drop(const struct plan *plan, struct pg *target, const struct pg_result *r,
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

/* What something outside the migration rests on (a foreign key to the target) stays. */
static bool put_away_one(const struct plan *plan, struct pg *target, const struct pg_result *r,
			 unsigned row, struct err *e)
{
	if (!pg_exec(target, "SAVEPOINT definition", e))
		return false;
	if (save_and_drop(plan, target, r, row, e))
		return pg_exec(target, "RELEASE SAVEPOINT definition", e);
	if (strcmp(e->sqlstate, "2BP01") != 0)
		return false;
	log_event(LOG_INFO, "definition.kept", "table=%s name=%s", pg_text(r, row, 1),
		  pg_text(r, row, 2));
	err_clear(e);
	return pg_exec(target, "ROLLBACK TO SAVEPOINT definition", e);
}

static bool put_away_listed(const struct plan *plan, struct pg *target, const char *sql,
			    unsigned nparams, const char *const *params, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(target, sql, nparams, params, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		ok = put_away_one(plan, target, r, i, e);
	pg_result_free(r);
	return ok;
}

static bool put_away_flow(const struct plan *plan, const struct flow_plan *f, bool foreign_keys,
			  struct pg *target, struct err *e)
{
	const char *params[] = { f->target, f->key_array };

	return foreign_keys ? put_away_listed(plan, target, foreign_keys_sql, 1, params, e)
			    : put_away_listed(plan, target, indexes_sql, 2, params, e);
}

/* All foreign keys first: they rest on the keys. */
static bool put_away_all(const struct plan *plan, struct pg *target, struct err *e)
{
	for (int turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < plan->ntables; i++)
			for (unsigned k = 0; k < plan->tables[i].nflows; k++)
				if (!put_away_flow(plan, &plan->tables[i].flows[k], turn == 0,
						   target, e))
					return false;
	return true;
}

bool definitions_put_away(const struct plan *plan, struct pg *target, struct err *e)
{
	/* with pg_catalog alone in the search_path definitions name everything in full */
	bool ok = pg_begin(target, e) && pg_exec(target, "SET LOCAL search_path = pg_catalog", e) &&
		  put_away_all(plan, target, e) &&
		  ledger_count_definitions(target, plan->migration, e) && pg_commit(target, e);

	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "put the target's indexes and constraints away");
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
	static const char *const kinds[] = { "key", "index", "unique", "foreign key", "validate" };

	return restore_kinds(migration, kinds, sizeof kinds / sizeof *kinds, target, e);
}

/* --- several at once --- */

struct builder {
	const char *migration;
	struct pg_options target;
	struct team *team;
	struct arena arena;
	struct ledger_definition *all;
	unsigned count;
	atomic_uint next;
};

static bool right_after_copy(const struct ledger_definition *d)
{
	return strcmp(d->kind, "key") == 0 || strcmp(d->kind, "index") == 0;
}

static bool build(const struct team_member *m, struct err *e)
{
	struct builder *b = m->arg;
	struct pg *pg;
	unsigned i;

	if (!team_connect(m, &b->target, &pg, e))
		return err_wrap(e, "connect to the target");
	while (!atomic_load(m->stop) && (i = atomic_fetch_add(&b->next, 1)) < b->count)
		if (right_after_copy(&b->all[i]) && !restore_one(b->migration, &b->all[i], pg, e))
			return false;
	return true;
}

bool builder_start(const char *migration, const struct pg_options *target, unsigned jobs,
		   struct pg *ledger, struct builder **out, struct err *e)
{
	struct builder *b = xcalloc(1, sizeof *b);

	b->migration = migration;
	b->target = *target;
	if (!ledger_definitions(ledger, migration, &b->arena, &b->all, &b->count, e) ||
	    !team_start(jobs, build, b, &b->team, e)) {
		builder_destroy(b);
		return false;
	}
	*out = b;
	return true;
}

enum crew_state builder_wait(struct builder *b, int timeout_ms, struct err *e)
{
	return team_wait(b->team, timeout_ms, e);
}

void builder_destroy(struct builder *b)
{
	if (!b)
		return;
	team_destroy(b->team);
	arena_finish(&b->arena);
	free(b);
}

bool definitions_settle(const char *migration, struct pg *target, struct err *e)
{
	static const char *const kinds[] = { "settle" };

	return restore_kinds(migration, kinds, 1, target, e);
}
