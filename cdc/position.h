/*
 * cdc/position.h: up to where a stream is applied, and how old what is pending is.
 *
 * A transaction is pending from the moment its first part is handed on until its end is
 * confirmed. While nothing is pending, and nothing is being assembled, the position also
 * follows what the source says it has read without finding anything for us.
 *
 * Invariant  applied never goes back, and never past the end of a pending transaction.
 * Threads    no locks inside.
 */
#ifndef PGCROSSFADE_CDC_POSITION_H
#define PGCROSSFADE_CDC_POSITION_H

#include "core/change.h"

struct position_pending {
	lsn_t end; /* 0: its last part has not come yet */
	int64_t commit_time;
};

struct position {
	lsn_t applied;                    /* what may be acknowledged to the source */
	lsn_t idle;                       /* everything before it was handed on, or was nothing */
	bool open;                        /* a transaction is being assembled */
	struct position_pending *pending; /* a ring, oldest at first */
	unsigned first, count, size;
};

void position_init(struct position *p, lsn_t start);
void position_finish(struct position *p);

/* A transaction is being assembled from now on, or no more. */
void position_open(struct position *p, bool open);

/* A transaction or part goes on its way: before position_open says that it is closed. */
void position_deliver(struct position *p, const struct transaction *t);

/* Everything before lsn is durable where it was applied. Going back is ignored. */
void position_confirm(struct position *p, lsn_t lsn);

/* The source has sent all there is before lsn. */
void position_idle(struct position *p, lsn_t lsn);

/* Commit time of the oldest pending transaction; 0: none. */
int64_t position_oldest(const struct position *p);

#endif
