#include "snapshot/definitions.h"

#include "core/log.h"
#include "pg/away.h"
#include "pg/ledger.h"
#include "pg/quote.h"

#include <stdlib.h>
#include <string.h>

/* --- each of them --- */

/* One row of pg/away.h. */
typedef bool visit(void *context, const struct pg_result *r, unsigned row, struct err *e);

struct visitor {
	const struct plan *plan;
	struct pg *target;
	visit *visit;
	void *context;
};

static const char *target_array(const struct plan *plan, struct arena *a)
{
	unsigned room = 0, n = 0;

	for (unsigned i = 0; i < plan->ntables; i++)
		room += plan->tables[i].nflows;
	const char **targets = arena_array(a, room, sizeof *targets);
	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].nflows; k++)
			targets[n++] = plan->tables[i].flows[k].target;
	return arena_text_array(a, targets, n);
}

/* What something outside seems to rest on is visited, too. */
static bool is_visited(const struct pg_result *r, unsigned row)
{
	return !pg_value(r, row, AWAY_STAYS) || strcmp(pg_text(r, row, AWAY_STAYS), "rested") == 0;
}

static bool visit_flow(const struct visitor *v, const struct away_scope *scope, bool foreign_keys,
		       struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = away_list(v->target, scope, foreign_keys, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		ok = !is_visited(r, i) || v->visit(v->context, r, i, e);
	pg_result_free(r);
	return ok;
}

/* All foreign keys first: they rest on the keys. */
static bool visit_all(const struct visitor *v, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	const char *targets = target_array(v->plan, &scratch);
	bool ok = true;

	for (int turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < v->plan->ntables; i++)
			for (unsigned k = 0; ok && k < v->plan->tables[i].nflows; k++) {
				const struct flow_plan *f = &v->plan->tables[i].flows[k];
				const struct away_scope scope = { f->target, targets, f->key_array,
								  f->lookup, v->plan->rejects };
				ok = visit_flow(v, &scope, turn == 0, e);
			}
	arena_finish(&scratch);
	return ok;
}

/* --- putting away --- */

void definition_log(enum log_level level, const char *event, const struct ledger_definition *d)
{
	struct arena scratch = ARENA_INIT;

	log_event(level, event, "kind=\"%s\" table=%s name=%s", d->kind,
		  log_name(&scratch, d->table), log_name(&scratch, d->name));
	arena_finish(&scratch);
}

static bool save_as(const struct plan *plan, struct pg *target, const struct ledger_definition *d,
		    const char *kind, const char *create, struct err *e)
{
	struct ledger_definition other = *d;

	other.kind = kind;
	other.create = create;
	return !create || ledger_add_definition(target, plan->migration, &other, e);
}

static bool save_and_drop(const struct plan *plan, struct pg *target, const struct pg_result *r,
			  unsigned row, struct err *e)
{
	struct ledger_definition d = { .kind = pg_text(r, row, AWAY_KIND),
				       .table = pg_text(r, row, AWAY_TABLE),
				       .name = pg_text(r, row, AWAY_NAME),
				       .create = pg_text(r, row, AWAY_CREATE),
				       .drop = pg_text(r, row, AWAY_DROP) };
	bool saved = ledger_add_definition(target, plan->migration, &d, e) &&
		     save_as(plan, target, &d, "validate", pg_value(r, row, AWAY_VALIDATE), e) &&
		     save_as(plan, target, &d, "settle", pg_value(r, row, AWAY_SETTLE), e) &&
		     save_as(plan, target, &d, "confirm", pg_value(r, row, AWAY_CONFIRM), e);

	return saved &&
	       (pg_exec(target, d.drop, e) || err_wrap(e, "drop %s of %s", d.name, d.table));
}

/* What something outside the migration rests on (a foreign key to the target) stays. */
static bool put_away_one(void *context, const struct pg_result *r, unsigned row, struct err *e)
{
	const struct visitor *v = context;
	struct pg *target = v->target;

	if (!pg_exec(target, "SAVEPOINT definition", e))
		return false;
	if (save_and_drop(v->plan, target, r, row, e))
		return pg_exec(target, "RELEASE SAVEPOINT definition", e);
	if (strcmp(e->sqlstate, "2BP01") != 0)
		return false;
	definition_log(LOG_INFO, "definition.kept",
		       &(struct ledger_definition){ .kind = pg_text(r, row, AWAY_KIND),
						    .table = pg_text(r, row, AWAY_TABLE),
						    .name = pg_text(r, row, AWAY_NAME) });
	err_clear(e);
	return pg_exec(target, "ROLLBACK TO SAVEPOINT definition", e);
}

bool definitions_put_away(const struct plan *plan, struct pg *target, struct err *e)
{
	struct visitor v = { plan, target, put_away_one, &v };
	/* with pg_catalog alone in the search_path definitions name everything in full */
	bool ok = pg_begin(target, e) && pg_exec(target, "SET LOCAL search_path = pg_catalog", e) &&
		  visit_all(&v, e) && ledger_count_definitions(target, plan->migration, e) &&
		  pg_commit(target, e);

	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "put the target's indexes and constraints away");
}

/* --- only looking --- */

struct finder {
	struct arena *arena;
	struct definition *found;
	unsigned count, room;
};

/* Two flows into one table find the same. */
static bool is_found(const struct finder *f, const char *table, const char *name)
{
	for (unsigned i = 0; i < f->count; i++)
		if (strcmp(f->found[i].table, table) == 0 && strcmp(f->found[i].name, name) == 0)
			return true;
	return false;
}

static bool take_found(void *context, const struct pg_result *r, unsigned row, struct err *e)
{
	struct finder *f = context;

	(void)e;
	if (is_found(f, pg_text(r, row, AWAY_TABLE), pg_text(r, row, AWAY_NAME)))
		return true;
	if (f->count == f->room) {
		struct definition *more =
		    arena_array(f->arena, f->room ? f->room * 2UL : 16, sizeof *more);
		if (f->count)
			memcpy(more, f->found, f->count * sizeof *more);
		f->room = f->room ? f->room * 2 : 16;
		f->found = more;
	}
	f->found[f->count++] =
	    (struct definition){ .kind = arena_strdup(f->arena, pg_text(r, row, AWAY_KIND)),
				 .table = arena_strdup(f->arena, pg_text(r, row, AWAY_TABLE)),
				 .name = arena_strdup(f->arena, pg_text(r, row, AWAY_NAME)),
				 .create = arena_strdup(f->arena, pg_text(r, row, AWAY_CREATE)),
				 .drop = arena_strdup(f->arena, pg_text(r, row, AWAY_DROP)),
				 .validate = pg_value(r, row, AWAY_VALIDATE) != NULL };
	return true;
}

bool definitions_find(const struct plan *plan, struct pg *target, struct arena *a,
		      struct definition **out, unsigned *count, struct err *e)
{
	struct finder f = { .arena = a };
	const struct visitor v = { plan, target, take_found, &f };
	bool ok = pg_begin(target, e) && pg_exec(target, "SET LOCAL search_path = pg_catalog", e) &&
		  visit_all(&v, e);

	pg_rollback(target);
	*out = f.found;
	*count = f.count;
	return ok || err_wrap(e, "look at the target's indexes and constraints");
}

/* --- bringing back --- */

bool definition_restore(const char *migration, const struct ledger_definition *d, struct pg *target,
			struct err *e)
{
	bool ok = pg_begin(target, e) && pg_exec(target, d->create, e) &&
		  ledger_drop_definition(target, migration, d, e) && pg_commit(target, e);

	if (!ok) {
		pg_rollback(target);
		return err_wrap(e, "bring back %s of %s", d->name, d->table);
	}
	definition_log(LOG_INFO, "definition.restored", d);
	return true;
}

bool definition_waits(const struct ledger_definition *d)
{
	return strcmp(d->kind, "foreign key") == 0 || strcmp(d->kind, "validate") == 0;
}

bool definition_put_off(const struct ledger_definition *d, struct err *e)
{
	if (strcmp(e->sqlstate, "23503") != 0)
		return false;
	definition_log(LOG_WARN, "definition.waits", d);
	err_clear(e);
	return true;
}

static bool restore_all(const char *migration, bool wait, struct pg *target, struct err *e)
{
	/* a foreign key may refer to a unique constraint that is away too */
	static const char *const kinds[] = { "key", "index", "unique", "foreign key", "validate" };
	struct arena scratch = ARENA_INIT;
	struct ledger_definition *all;
	unsigned count = 0;
	bool ok = ledger_definitions(target, migration, &scratch, &all, &count, e);

	for (size_t kind = 0; ok && kind < sizeof kinds / sizeof *kinds; kind++)
		for (unsigned i = 0; ok && i < count; i++)
			if (strcmp(all[i].kind, kinds[kind]) == 0)
				ok = definition_restore(migration, &all[i], target, e) ||
				     (wait && definition_put_off(&all[i], e));
	arena_finish(&scratch);
	return ok;
}

bool definitions_restore(const char *migration, bool wait, struct pg *target, struct err *e)
{
	return restore_all(migration, wait, target, e) && ledger_mark_made(target, migration, e);
}
