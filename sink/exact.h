/*
 * sink/exact.h: the changes of transactions in exact source order, row by row.
 *
 * Slower than a batch and never wrong about order; what it cannot apply, the target
 * really refuses. Where the migration allows rejects, that row is put aside for that flow
 * (sink/single.h) and the rest goes on; otherwise the error names flow, key, LSN and SQL.
 * Constraints that are looked at late are then looked at where the source transaction ends,
 * and what breaks them is found (sink/blame.h).
 */
#ifndef PGCROSSFADE_SINK_EXACT_H
#define PGCROSSFADE_SINK_EXACT_H

#include "core/binding.h"
#include "sink/ops.h"
#include "sink/rejects.h"

struct blame;

struct exact {
	struct pg *pg;
	const struct plan *plan;
	struct bindings *bindings;
	struct op_params *params;
	struct rejects *rejects; /* follows what is written; see rejects_dirty() */
	struct blame *blame;     /* NULL but while a transaction is applied with marks */
};

/* One, or a part of one, inside the caller's open transaction, outside a pipe. */
bool exact_apply(struct exact *x, const struct transaction *t, struct err *e);

/* Whole ones, linked by next, in one open transaction that nothing is in yet. Only where rows
 * may be put aside. */
bool exact_apply_all(struct exact *x, const struct transaction *list, struct err *e);

#endif
