/*
 * cutover/switch.h: from the old tables to the new ones.
 *
 *   lock the old tables          writes wait from here; of those to be renamed, reads too
 *   barrier, drain               everything written before is applied
 *   advance sequences
 *   freeze, rename, search_path, SQL, mark
 *   COMMIT                       the point of no return; the pause ends
 *
 * Before that commit any failure releases the lock and leaves nothing but sequences that
 * are further on. Whether it happened is asked of the source (pg/freeze.h).
 *
 * Errors     ERR_RETRY: not this time (blocked, or the drain took longer than max_pause),
 *            with the reason; ERR_CONFIG: a person must act. After ERR_RETRY with a lost
 *            connection the switch may have been committed: ask.
 */
#ifndef PGCROSSFADE_CUTOVER_SWITCH_H
#define PGCROSSFADE_CUTOVER_SWITCH_H

#include "core/plan.h"
#include "pg/conn.h"
#include "pg/lock.h"
#include "transform/mapping.h"

struct switcher {
	const struct migration *migration;
	const struct plan *plan;
	struct pg_options source; /* for the connection that holds the lock */
	struct pg *control;       /* at the source; writes the barrier, sees the blockers */
	struct pg *target;        /* for sequences; not the applier's */
	/* Applies until everything before lsn is durable at the target, and makes sure that the
	 * run still holds the migration; false at the deadline (ERR_RETRY) or on a failure.
	 * deadline_ms as clock_ms(). */
	bool (*drain)(void *context, lsn_t lsn, int64_t deadline_ms, struct err *e);
	void *context;
};

/* What the lock is on. */
struct lock_tables switch_tables(const struct switch_def *d, const struct plan *plan,
				 struct arena *a);

/* One try: lock to commit. *write_pause_us is set on success. */
bool switch_try(const struct switcher *s, int64_t *write_pause_us, struct err *e);

/* What the target does past the point of no return; inside the caller's transaction. */
bool switch_target_sql(const struct migration *m, struct pg *target, struct err *e);

/*
 * Runs the same SQL under cutover.lock_timeout and rolls it back, before anybody waits for
 * the switch: what fails here would fail past the point of no return.
 */
bool switch_rehearse(const struct migration *m, struct pg *target, struct err *e);

#endif
