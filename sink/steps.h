/*
 * sink/steps.h: what one change asks of each flow of its table, as single-row statements.
 *
 * Ownership  rows borrow from the transaction and the caller's arena.
 */
#ifndef PGCROSSFADE_SINK_STEPS_H
#define PGCROSSFADE_SINK_STEPS_H

#include "sink/ops.h"

struct step {
	const struct table_plan *table;
	const struct flow_plan *flow;
	const struct change *change;
	enum op op;
	struct op_row row;
};

struct step_list {
	struct step *steps;
	unsigned count, cap;
};

void steps_finish(struct step_list *l);

/* What the change is to one flow: mostly what it is to its table. */
struct flow_view {
	bool skip;
	enum change_kind kind;
	struct op_row row;
};

/* One view a flow of the table, of change c. */
void steps_add(struct step_list *l, unsigned max_rank, const struct table_plan *t,
	       const struct change *c, const struct flow_view *views);

/* TRUNCATE: the flows of that rank. */
bool steps_add_clear(struct step_list *l, const struct table_plan *t, const struct change *c,
		     unsigned rank, struct err *e);

/* The steps from first on that are before end. */
bool steps_send(const struct step_list *l, unsigned first, unsigned end, struct pipe *pipe,
		struct op_params *params, struct err *e);

/* customer_id=5, or "no key" */
const char *row_key_text(const struct table_plan *t, const struct value *row, struct arena *a);

/* Tells the whole story of a step that was refused. Always returns false. */
bool step_explain(const struct step *s, lsn_t commit_lsn, struct err *e);

#endif
