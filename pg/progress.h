/*
 * pg/progress.h: the progress row: what is applied, committed with what it speaks of.
 *
 * The update names the LSN it expects, so that a backend which outlived its killed run
 * and the new run can never both move it.
 */
#ifndef PGCROSSFADE_PG_PROGRESS_H
#define PGCROSSFADE_PG_PROGRESS_H

#include "core/arena.h"
#include "pg/conn.h"
#include "pg/pipe.h"

struct progress {
	const char *migration, *direction;
	const char *system, *slot; /* the source it is bound to */
	lsn_t lsn;                 /* commit LSN of the last applied transaction; 0: none */
	int64_t commit_time;       /* its; us since 2000-01-01 UTC. On load only */
	uint64_t changes, transactions;
};

/* Where there is a row already, it stays. */
bool progress_ensure(struct pg *target, const struct progress *p, struct err *e);

/* *out NULL: no row */
bool progress_load(struct pg *target, const char *migration, const char *direction, struct arena *a,
		   struct progress **out, struct err *e);

/* Prepares what is sent on the apply connection. */
bool progress_prepare(struct pg *target, struct err *e);

struct progress_step {
	lsn_t from, to;      /* what the row says now; what it will say */
	int64_t commit_time; /* us since 2000-01-01 UTC */
	uint64_t changes, transactions;
};

/*
 * Sends the claim, first in the target transaction: it waits for a backend that outlived
 * its run, and fails (22012) when the row does not say `from` any more.
 */
bool progress_send_claim(struct pipe *pipe, const struct progress *p, lsn_t from, struct err *e);

/*
 * Claim and update at once, first in the target transaction, and before both the mark that the
 * transaction is pgcrossfade's own: the text of a logical message.
 */
bool progress_send_all(struct pipe *pipe, const struct progress *p, const struct progress_step *s,
		       const char *mark, struct err *e);

/* Sends the update of the row that the transaction has claimed. */
bool progress_send(struct pipe *pipe, const struct progress *p, const struct progress_step *s,
		   struct err *e);

#endif
