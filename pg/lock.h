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
	const char *const *from;  /* the same as LOCK takes them: with ONLY, or with partitions */
	unsigned nalone;          /* of them, by name, that not even readers may have meanwhile */
	const char *const *alone;
	bool from_readers; /* who reads any of them is in the way, too */
};

struct lock_times {
	int64_t acquire_ms; /* for all the tables together */
	int64_t hold_ms;    /* the server ends the transaction that waits longer, whatever we do */
};

/* The LOCK TABLE of lock_acquire: one statement, or two where some are locked alone. */
const char *lock_sql(const struct lock_tables *tables, struct arena *a);

/*
 * Opens a transaction that holds SHARE ROW EXCLUSIVE on all of them, or leaves nothing. Those that
 * will need ACCESS EXCLUSIVE have it from the start: whoever has read one and waits to write it
 * would otherwise wait for us, and we for him. ERR_RETRY: not in time.
 */
bool lock_acquire(struct pg *pg, const struct lock_tables *tables, const struct lock_times *times,
		  struct err *e);

/* Each statement of the transaction from here on ends after left_ms at most. */
bool lock_limit(struct pg *pg, int64_t left_ms, struct err *e);

/* Who holds what keeps them from being locked, in words; "" when nobody does any more. Of tables
 * it takes names, alone and from_readers. */
bool lock_blockers(struct pg *pg, const struct lock_tables *tables, int not_pid, struct arena *a,
		   const char **out, struct err *e);

#endif
