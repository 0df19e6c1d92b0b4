/*
 * pg/heartbeat.h: the running service's sign of life and figures, one row a migration.
 */
#ifndef PGCROSSFADE_PG_HEARTBEAT_H
#define PGCROSSFADE_PG_HEARTBEAT_H

#include "core/arena.h"
#include "pg/conn.h"

/* Why a run that is alive does nothing: it waits, and tries again. */
struct heartbeat_trouble {
	const char *error;    /* one line */
	double since_seconds; /* ago it began */
	const char *since;    /* on load only: the same as a time */
	unsigned tries;       /* that failed since then */
	double next_seconds;  /* until the next try; on load negative while that is being made */
};

struct heartbeat {
	const char *host;
	int64_t pid;
	const char *activity;  /* what it does, in words */
	lsn_t applied, source; /* up to where all is applied; the source's insert position */
	lsn_t confirmed;       /* on load only: the highest `applied` ever written */
	double lag_seconds;
	uint64_t queued_bytes;
	double change_rate;     /* changes applied a second, over the last seconds */
	const char *bottleneck; /* reader, apply, source; "" for none */
	double up_seconds;      /* since the process began */
	double age_seconds;     /* on load only: since it was written */
	const struct heartbeat_trouble *trouble; /* on load only; NULL: none */
};

bool heartbeat_write(struct pg *target, const char *migration, const struct heartbeat *h,
		     struct err *e);

/*
 * Host, pid and time up of h, and the trouble; what else the row has is that of before. Writes
 * nothing when the ledger does not know the migration, nor over another process's row unless
 * this one holds the migration's lock.
 */
bool heartbeat_write_trouble(struct pg *target, const char *migration, const struct heartbeat *h,
			     const struct heartbeat_trouble *trouble, bool locked, struct err *e);
bool heartbeat_end_trouble(struct pg *target, const char *migration, struct err *e);

/* *out NULL: never ran */
bool heartbeat_load(struct pg *target, const char *migration, struct arena *a,
		    struct heartbeat **out, struct err *e);

#endif
