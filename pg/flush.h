/*
 * pg/flush.h: is what was committed with synchronous_commit = off on disk yet?
 *
 * Errors     as pg/conn.h.
 */
#ifndef PGCROSSFADE_PG_FLUSH_H
#define PGCROSSFADE_PG_FLUSH_H

#include "pg/conn.h"

struct flush {
	lsn_t written; /* every commit that has returned ends at or before it */
	lsn_t flushed; /* everything before it is on disk */
};

bool flush_look(struct pg *pg, struct flush *out, struct err *e);

/*
 * Commits something durably, and with it everything that was committed before it, by whom
 * ever. mark: SQL with a result, which says that the transaction is pgcrossfade's own.
 */
bool flush_force(struct pg *pg, const char *mark, struct err *e);

/*
 * Commits on this connection do not wait for the disk from now on, unless the server has
 * synchronous standbys, whose promise would be lost.
 */
bool flush_later(struct pg *pg, bool *later, struct err *e);

#endif
