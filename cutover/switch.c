#include "cutover/switch.h"

#include "core/clock.h"
#include "core/log.h"
#include "pg/ddl.h"
#include "pg/freeze.h"
#include "pg/lock.h"
#include "pg/quote.h"
#include "pg/sequence.h"

#include <inttypes.h>
#include <string.h>

/* --- the lock --- */

static bool is_renamed(const struct switch_def *d, const char *quoted, struct arena *a)
{
	for (unsigned i = 0; i < d->nrenames; i++)
		if (strcmp(arena_qualified(a, d->renames[i].table.schema, d->renames[i].table.name),
			   quoted) == 0)
			return true;
	return false;
}

struct lock_tables switch_tables(const struct switch_def *d, const struct plan *plan,
				 struct arena *a)
{
	const char **names = arena_array(a, plan->ntables, sizeof *names);
	const char **from = arena_array(a, plan->ntables, sizeof *from);
	const char **alone = arena_array(a, plan->ntables, sizeof *alone);
	unsigned nalone = 0;

	for (unsigned i = 0; i < plan->ntables; i++) {
		names[i] = plan->tables[i].quoted;
		from[i] = plan->tables[i].from;
		if (is_renamed(d, names[i], a))
			alone[nalone++] = names[i];
	}
	return (struct lock_tables){ .count = plan->ntables,
				     .names = names,
				     .from = from,
				     .nalone = nalone,
				     .alone = alone };
}

static bool name_blockers(const struct switcher *s, const struct lock_tables *tables, int not_pid,
			  struct arena *a, struct err *e)
{
	struct err asked = ERR_INIT;
	const char *who = "";

	if (e->kind != ERR_RETRY || !lock_blockers(s->control, tables, not_pid, a, &who, &asked))
		return false;
	return err_set(e, ERR_RETRY, "the old tables could not be locked within %" PRId64 " ms: %s",
		       s->migration->cutover.lock_timeout,
		       *who ? who : "the blocker is gone by now");
}

/* --- between lock and commit --- */

static bool write_barrier(const struct switcher *s, lsn_t *out, struct err *e)
{
	struct pg_result *r = NULL;
	const char *text = s->plan->migration;
	/* transactional: its commit also flushes whatever others left unflushed before it */
	bool ok = pg_query_row(
	    s->control, "SELECT pg_logical_emit_message(true, 'pgcrossfade', 'barrier ' || $1)", 1,
	    &text, &r, e);

	*out = ok ? pg_lsn(r, 0, 0) : 0;
	pg_result_free(r);
	return ok || err_wrap(e, "write the barrier");
}

/* What is left of max_pause is theirs: without an index one reads its whole table. */
static bool advance_sequences(const struct switcher *s, int64_t deadline, struct err *e)
{
	struct err ignored = ERR_INIT;
	bool ok = true;

	for (unsigned i = 0; ok && i < s->plan->nsequences; i++) {
		int64_t left = deadline - clock_ms();
		ok = pg_execf(s->target, e, "SET statement_timeout = %" PRId64,
			      left > 0 ? left : 1) &&
		     sequence_advance(s->control, s->target, &s->plan->sequences[i],
				      s->migration->cutover.sequence_headroom, e);
		if (!ok && strcmp(e->sqlstate, "57014") == 0)
			err_set(e, ERR_RETRY,
				"the highest value of %s column %s was not found within max_pause "
				"(%" PRId64 " ms); CREATE INDEX ON %s (%s)",
				s->plan->sequences[i].target_table,
				s->plan->sequences[i].target_column,
				s->migration->cutover.max_pause, s->plan->sequences[i].target_table,
				s->plan->sequences[i].target_column);
	}
	return pg_exec(s->target, "SET statement_timeout = 0", ok ? e : &ignored) && ok;
}

/* Of two cutovers that met at the lock the second one finds the triggers of the first. */
static bool name_other(const struct switcher *s, struct err *e)
{
	struct err why = ERR_INIT;

	if (strcmp(e->sqlstate, "42710") == 0 && !freeze_no_other(s->control, s->plan, &why) &&
	    why.kind == ERR_CONFIG)
		*e = why;
	return false;
}

static bool freeze_all(const struct switcher *s, struct pg *lock, struct err *e)
{
	for (unsigned i = 0; i < s->plan->ntables; i++)
		if (!freeze_table(lock, s->plan->migration, s->plan->tables[i].quoted, e))
			return name_other(s, e);
	return true;
}

/* Writers wait for what the switch itself waits for: no longer than for all else. */
static bool limit(struct pg *lock, int64_t deadline, struct err *e)
{
	return lock_limit(lock, deadline - clock_ms(), e);
}

static bool rename_all(const struct switch_def *d, struct pg *lock, int64_t deadline, struct err *e)
{
	for (unsigned i = 0; i < d->nrenames; i++) {
		const struct rename_def *n = &d->renames[i];
		struct ddl_rename r = { n->table.schema, n->table.name, n->to.schema, n->to.name };
		if (!limit(lock, deadline, e) || !ddl_rename(lock, &r, e))
			return false;
	}
	return true;
}

static bool set_search_paths(const struct switch_def *d, struct pg *lock, struct err *e)
{
	for (unsigned i = 0; i < d->nsearch_paths; i++) {
		const struct search_path_def *p = &d->search_paths[i];
		if (!ddl_role_search_path(lock, p->role, p->path.names, p->path.count, e))
			return false;
	}
	return true;
}

static bool switch_actions(const struct switcher *s, struct pg *lock, int64_t deadline,
			   struct err *e)
{
	const struct switch_def *d = &s->migration->switch_to;

	return freeze_all(s, lock, e) && rename_all(d, lock, deadline, e) &&
	       limit(lock, deadline, e) && set_search_paths(d, lock, e) &&
	       (!d->source_sql || pg_exec(lock, d->source_sql, e) ||
		err_wrap(e, "switch: source_sql"));
}

static bool commit_switch(const struct switcher *s, struct pg *lock, int64_t since_us,
			  int64_t *pause, struct err *e)
{
	int64_t so_far = clock_us() - since_us;

	if (!freeze_mark(lock, s->plan->migration, so_far, e) || !pg_commit(lock, e))
		return false;
	*pause = clock_us() - since_us;
	return true;
}

static bool switch_in_time(const struct switcher *s, struct pg *lock, int64_t deadline,
			   struct err *e)
{
	int64_t ms = s->migration->cutover.max_pause;

	if (!switch_actions(s, lock, deadline, e))
		return strcmp(e->sqlstate, "57014") == 0 &&
		       err_wrap(e, "not within max_pause (%" PRId64 " ms)", ms);
	return clock_ms() <= deadline ||
	       err_set(e, ERR_RETRY, "the switch took longer than max_pause (%" PRId64 " ms)", ms);
}

static bool locked_part(const struct switcher *s, struct pg *lock, int64_t since_us, int64_t *pause,
			struct err *e)
{
	int64_t deadline = since_us / 1000 + s->migration->cutover.max_pause;
	lsn_t barrier;

	return freeze_claim(lock, s->plan->migration, e) && write_barrier(s, &barrier, e) &&
	       s->drain(s->context, barrier, deadline, e) && advance_sequences(s, deadline, e) &&
	       switch_in_time(s, lock, deadline, e) && commit_switch(s, lock, since_us, pause, e);
}

bool switch_try(const struct switcher *s, int64_t *write_pause_us, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct lock_tables tables = switch_tables(&s->migration->switch_to, s->plan, &scratch);
	struct lock_times times = { s->migration->cutover.lock_timeout,
				    s->migration->cutover.max_pause };
	struct pg *lock = NULL;
	bool ok = freeze_prepare(s->control, s->plan->migration, e) &&
		  (pg_open(&s->source, &lock, e) || err_wrap(e, "connect to the source"));

	if (ok) {
		int64_t since = clock_us(); /* writers may wait behind our request from here */
		ok = lock_acquire(lock, &tables, &times, e) ||
		     name_blockers(s, &tables, pg_backend_pid(lock), &scratch, e);
		ok = ok && locked_part(s, lock, since, write_pause_us, e);
	}
	if (lock)
		pg_rollback(lock);
	pg_close(lock);
	arena_finish(&scratch);
	return ok;
}

bool switch_target_sql(const struct migration *m, struct pg *target, struct err *e)
{
	return !m->switch_to.target_sql || pg_exec(target, m->switch_to.target_sql, e) ||
	       err_wrap(e, "switch: target_sql");
}

/* What it would do, undone: after the switch's commit it is too late to learn that it fails. */
bool switch_rehearse(const struct migration *m, struct pg *target, struct err *e)
{
	struct arena scratch = ARENA_INIT;

	if (!m->switch_to.target_sql)
		return true;
	const char *timeout =
	    arena_printf(&scratch, "SET LOCAL lock_timeout = %" PRId64, m->cutover.lock_timeout);
	bool ok = pg_begin(target, e) && pg_exec(target, timeout, e) &&
		  switch_target_sql(m, target, e);
	pg_rollback(target);
	arena_finish(&scratch);
	return ok || err_wrap(e, "rehearse (run and rolled back)");
}
