/*
 * sink/ops.h: the statements of a flow as operations on rows, and how rows become their
 * array parameters.
 */
#ifndef PGCROSSFADE_SINK_OPS_H
#define PGCROSSFADE_SINK_OPS_H

#include "core/buf.h"
#include "core/change.h"
#include "core/err.h"
#include "core/plan.h"
#include "pg/pipe.h"

/* In the order a batch sends them: values that are given up are free for those who come. */
enum op {
	OP_REMOVE,
	OP_LEAVE,
	OP_CLEAR,
	OP_CLEAR_COPIED,
	OP_RENEW,
	OP_UPSERT,
	OP_UPDATE,
	OP_INSERT,
	OP_MOVE,
	OP_COUNT
};

const struct statement *op_statement(const struct flow_plan *flow, enum op op);
const char *op_name(enum op op);

/* True: the operation takes rows away, and children go first. */
bool op_removes(enum op op);

/* One row of an operation; which image a parameter is read from is the operation's affair. */
struct op_row {
	const struct value *before, *after; /* plan order */
};

/* Memory for one statement's parameters, used again for the next. */
struct op_params {
	unsigned count;
	struct buf *bufs;
};

void op_params_finish(struct op_params *p);

/* Sends one statement for all the rows. */
bool op_send(struct pipe *pipe, const struct flow_plan *flow, enum op op, const struct op_row *rows,
	     unsigned nrows, struct op_params *params, struct err *e);

/* True when both images give the flow's key the same source values. */
bool flow_key_same(const struct flow_plan *flow, const struct value *before,
		   const struct value *after);

/* True when a row that stays under its key may have rows to give up; kept: it reads a column
 * whose value was not sent. */
bool flow_leaves(const struct flow_plan *flow, bool kept);

/* True when the SELECT reads a column whose value was not sent. */
bool flow_reads_unchanged(const struct flow_plan *flow, const struct value *after);

#endif
