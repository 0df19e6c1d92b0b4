#include "snapshot/settle.h"

#include "core/log.h"
#include "pg/ledger.h"
#include "pg/lock.h"
#include "snapshot/definitions.h"

#include <string.h>

/* By a switch that drops the table or the key, say. */
static bool forget(const char *migration, const struct ledger_definition *d, struct pg *target,
		   struct err *e)
{
	definition_log(LOG_WARN, "definition.gone", d);
	return ledger_drop_definition(target, migration, d, e);
}

static bool settle_one(const char *migration, const struct ledger_settlement *s, struct pg *target,
		       struct err *e)
{
	if (!s->marked)
		return err_set(
		    e, ERR_CONFIG,
		    "an earlier pgcrossfade saved foreign key %s of %s by these names, "
		    "and nothing tells any more which one it is; run its create_sql in "
		    "pgcrossfade.definition with the names of today, and delete its rows "
		    "there",
		    s->saved.name, s->saved.table);
	if (!*s->table)
		return forget(migration, &s->saved, target, e);
	bool ok = pg_begin(target, e) && pg_exec(target, s->saved.create, e) &&
		  ledger_settled(target, migration, s, e) && pg_commit(target, e);

	if (!ok) {
		pg_rollback(target);
		return err_wrap(e, "settle foreign key %s of %s", s->name, s->table) ||
		       definition_put_off(&s->saved, e);
	}
	definition_log(LOG_INFO, "definition.restored",
		       &(struct ledger_definition){
			   .kind = s->saved.kind, .table = s->table, .name = s->name });
	return true;
}

bool settle_foreign_keys(const char *migration, struct pg *target, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct ledger_settlement *all;
	unsigned count = 0;
	bool ok = ledger_mark_made(target, migration, e) &&
		  ledger_settlements(target, migration, &scratch, &all, &count, e);

	for (unsigned i = 0; ok && i < count; i++)
		ok = settle_one(migration, &all[i], target, e);
	arena_finish(&scratch);
	return ok;
}

bool settle_blockers(const char *migration, struct pg *target, struct arena *a, const char **out,
		     struct err *e)
{
	struct ledger_settlement *all;
	unsigned count = 0;

	*out = "";
	if (!ledger_settlements(target, migration, a, &all, &count, e))
		return false;
	const char **names = arena_array(a, count * 2UL, sizeof *names);
	struct lock_tables tables = { .names = names, .from_readers = true };
	for (unsigned i = 0; i < count; i++) {
		if (!*all[i].table)
			continue;
		names[tables.count++] = all[i].table;
		names[tables.count++] = all[i].refers_to;
	}
	return !tables.count || lock_blockers(target, &tables, pg_backend_pid(target), a, out, e);
}

static const char *join(struct arena *a, const char *list, const char *item)
{
	return arena_printf(a, "%s%s%s", list, *list ? "; " : "", item);
}

/* Both `validate` and `confirm` may stand for one that is NOT VALID. */
static bool is_listed(const struct ledger_settlement *all, unsigned n, const char *sql)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(all[i].saved.create, sql) == 0)
			return true;
	return false;
}

static const char *put_unsettled(struct arena *a, const char *list,
				 const struct ledger_settlement *s)
{
	return join(a, list,
		    arena_printf(a,
				 "%s of %s, for rows that refer to none of %s: correct them, then "
				 "run: %s",
				 s->name, s->table, s->refers_to, s->saved.create));
}

/* What is saved of it is how the stream needs it, by names of before the switch. */
static const char *put_away(struct arena *a, const char *list, const struct ledger_definition *d)
{
	return join(a, list,
		    arena_printf(a,
				 "%s of %s is not there, for rows that it would refuse: correct "
				 "them, then make it again as your DDL has it",
				 d->name, d->table));
}

bool settle_left(const char *migration, struct pg *target, struct arena *a, const char **out,
		 struct err *e)
{
	struct ledger_settlement *unsettled;
	struct ledger_definition *saved;
	unsigned nunsettled, nsaved;

	*out = "";
	if (!ledger_settlements(target, migration, a, &unsettled, &nunsettled, e) ||
	    !ledger_definitions(target, migration, a, &saved, &nsaved, e))
		return false;
	for (unsigned i = 0; i < nunsettled; i++)
		if (!is_listed(unsettled, i, unsettled[i].saved.create))
			*out = put_unsettled(a, *out, &unsettled[i]);
	for (unsigned i = 0; i < nsaved; i++)
		if (strcmp(saved[i].kind, "foreign key") == 0)
			*out = put_away(a, *out, &saved[i]);
	return true;
}
