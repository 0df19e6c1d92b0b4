/*
 * pg/lock.h: the old tables held still: writes wait, reads go on.
 */
#ifndef PGCROSSFADE_PG_LOCK_H
#define PGCROSSFADE_PG_LOCK_H

#include "core/arena.h"
#include "pg/conn.h"

struct lock_tables {
	unsigned count;
	const char *const *names; /* quoted, qualified */
};

/*
 * Opens a transaction that holds SHARE ROW EXCLUSIVE on all of them, or leaves nothing.
 * ERR_RETRY: not within timeout_ms altogether.
 */
bool lock_acquire(struct pg *pg, const struct lock_tables *tables, int64_t timeout_ms,
		  struct err *e);

/* Who holds what keeps writes from being held, in words; "" when nobody does any more. */
bool lock_blockers(struct pg *pg, const struct lock_tables *tables, int not_pid, struct arena *a,
		   const char **out, struct err *e);

#endif
