/*
 * sink/exact.h: the changes of a transaction in exact source order, row by row.
 *
 * Slower than a batch and never wrong about order; what it cannot apply, the target
 * really refuses. Where the migration allows rejects, that row is put aside for that flow
 * (sink/single.h) and the rest goes on; otherwise the error names flow, key, LSN and SQL.
 */
#ifndef PGCROSSFADE_SINK_EXACT_H
#define PGCROSSFADE_SINK_EXACT_H

#include "core/binding.h"
#include "sink/ops.h"
#include "sink/rejects.h"

struct exact {
	struct pg *pg;
	const struct plan *plan;
	struct bindings *bindings;
	struct op_params *params;
	struct rejects *rejects; /* follows what is written; see rejects_dirty() */
};

/* Inside the caller's open transaction, outside a pipe. */
bool exact_apply(struct exact *x, const struct transaction *t, struct err *e);

#endif
