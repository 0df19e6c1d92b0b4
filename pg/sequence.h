/*
 * pg/sequence.h: sequences of the new tables, moved past the old ones.
 */
#ifndef PGCROSSFADE_PG_SEQUENCE_H
#define PGCROSSFADE_PG_SEQUENCE_H

#include "core/plan.h"
#include "pg/conn.h"

struct sequence_step {
	int64_t now, next;
};

/* What sequence_advance would do at this moment. */
bool sequence_next(struct pg *source, struct pg *target, const struct sequence_plan *s,
		   uint64_t headroom, struct sequence_step *out, struct err *e);

/*
 * Sets the target's sequence to the furthest of itself, the column's values and the old
 * sequence, and headroom steps more, within its bounds. Never backwards; can be entered
 * again. It takes effect at once, whatever becomes of the transaction.
 */
bool sequence_advance(struct pg *source, struct pg *target, const struct sequence_plan *s,
		      uint64_t headroom, struct err *e);

#endif
