/*
 * sink/again.h: a transaction in parts that is streamed again, and what is known of it.
 *
 * When a later part, or the end, is refused, the parts before are gone from memory: all is
 * rolled back, and only the stream can bring them again. So it is when a later part cannot be
 * judged. Then the transaction goes
 *
 *   in exact order   a row that is refused where it is written is put aside
 *   with marks       when its end was refused: the look that is taken there finds who broke it
 *                    (sink/blame.h). Those are remembered, and put aside as they come again,
 *                    until a look finds nothing
 *   early            with a snapshot taken before its first part, where rows of it have to be read
 *                    again (snapshot/judge.h); goes with either of the others
 *
 * Memory     as many refusals as rejects allows rows, and a thousand: a row may be refused at
 *            several of its changes. None of it has to last: what is forgotten is found again.
 * Ownership  its owner hands it to one applier after the other; zeros at first.
 */
#ifndef PGCROSSFADE_SINK_AGAIN_H
#define PGCROSSFADE_SINK_AGAIN_H

#include "sink/exact.h"

struct again {
	lsn_t lsn;           /* commit_lsn of the transaction; 0: none */
	struct blame *blame; /* NULL: without marks */
	lsn_t early;         /* commit_lsn of the one whose snapshot is taken early; 0: none */
	bool wanted;         /* of the stream, at once: nothing is wrong */
};

void again_finish(struct again *g);

/* A part after the first was refused. Always returns false, with ERR_RETRY. */
bool again_in_order(struct again *g, const struct transaction *t, struct err *e);

/* Its end was refused, without marks. Always returns false, with ERR_RETRY. */
bool again_with_marks(struct again *g, const struct plan *plan, const struct transaction *t,
		      struct err *e);

/* A row of a later part has to be read again. */
void again_early(struct again *g, lsn_t commit_lsn);

/* Is it known with marks? */
bool again_is_marked(const struct again *g, const struct transaction *t);

/* exact_apply(). ERR_RETRY after the last part: more of it is known to be refused. */
bool again_apply(struct again *g, struct exact *x, const struct transaction *t, struct err *e);

#endif
