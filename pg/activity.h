/*
 * pg/activity.h: what our own backends do on a server, and who keeps them waiting.
 *
 * Ours are those of one application_name, in the database of the connection. What other
 * roles run shows as '?' unless this role may read all statistics.
 *
 * Ownership  lists and strings live in the arena.
 * Units      seconds; negative: not known.
 */
#ifndef PGCROSSFADE_PG_ACTIVITY_H
#define PGCROSSFADE_PG_ACTIVITY_H

#include "core/arena.h"
#include "pg/conn.h"

/* One of ours waits for a lock that one other holds. */
struct activity_block {
	int pid;
	const char *query; /* ours: its first words */
	const char *object;
	double seconds;   /* it waits */
	int by_pid;       /* 0: a prepared transaction */
	const char *by;   /* the prepared transaction's name; else "" */
	const char *user; /* who holds it */
	const char *state;
	double age;           /* of the holder's transaction */
	const char *by_query; /* its first words */
};

bool activity_blocks(struct pg *pg, const char *application, struct arena *a,
		     struct activity_block **out, unsigned *count, struct err *e);

/* An index that one of ours builds. */
struct activity_build {
	const char *table;
	const char *statement; /* its first words: they have the name, which no one else sees yet */
	const char *phase;     /* as pg_stat_progress_create_index says */
	double share;          /* of the phase, 0 to 1; negative: not known */
};

bool activity_builds(struct pg *pg, const char *application, struct arena *a,
		     struct activity_build **out, unsigned *count, struct err *e);

/* Backends of ours in the middle of a COPY, and how many of them wait for our program. */
bool activity_copies(struct pg *pg, const char *application, unsigned *copies,
		     unsigned *waiting_for_us, struct err *e);

#endif
