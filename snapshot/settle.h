/*
 * snapshot/settle.h: foreign keys as they were at first, once the stream has ended.
 *
 * Those that acted (ON DELETE, ON UPDATE) are made anew, NOT VALID, and then validated; others
 * are made not deferrable. Each in one transaction with its ledger row, by whatever names the
 * switch left. One that the switch took away itself is forgotten, with a warning in the log; one
 * that still waits for its rows stays as it is.
 *
 * Errors     ERR_RETRY: a lock was not to be had within the connection's lock_timeout.
 *            Whatever is not done is done by the next call.
 */
#ifndef PGCROSSFADE_SNAPSHOT_SETTLE_H
#define PGCROSSFADE_SNAPSHOT_SETTLE_H

#include "core/arena.h"
#include "pg/conn.h"

bool settle_foreign_keys(const char *migration, struct pg *target, struct err *e);

/* Who holds what keeps those that are left from being settled, in words; "" when nobody does. */
bool settle_blockers(const char *migration, struct pg *target, struct arena *a, const char **out,
		     struct err *e);

/* Which are not back, for rows that they would refuse, and what to do; "" when all are. */
bool settle_left(const char *migration, struct pg *target, struct arena *a, const char **out,
		 struct err *e);

#endif
