/*
 * pg/heartbeat.h: the running service's sign of life and figures, one row a migration.
 */
#ifndef PGCROSSFADE_PG_HEARTBEAT_H
#define PGCROSSFADE_PG_HEARTBEAT_H

#include "core/arena.h"
#include "pg/conn.h"

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
};

bool heartbeat_write(struct pg *target, const char *migration, const struct heartbeat *h,
		     struct err *e);

/* *out NULL: never ran */
bool heartbeat_load(struct pg *target, const char *migration, struct arena *a,
		    struct heartbeat **out, struct err *e);

#endif
