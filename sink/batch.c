#include "sink/batch.h"

#include <stdlib.h>

/* Rows a statement: 500 to 2,000 measured best; bytes keep wide rows from piling up. */
enum { ROWS_A_STATEMENT = 1000, BYTES_A_STATEMENT = 4 << 20 };

enum { FEW_ROWS = 3 }; /* each as plain values costs the server less than arrays of them */

struct row_list {
	struct op_row *rows;
	unsigned count, cap;
};

struct flow_rows {
	const struct flow_plan *flow;
	struct row_list lists[OP_COUNT];
};

struct batch {
	const struct plan *plan;
	unsigned nflows;
	struct flow_rows *flows; /* in the order of the plan's tables and their flows */
};

struct batch *batch_create(const struct plan *plan)
{
	struct batch *b = xcalloc(1, sizeof *b);

	b->plan = plan;
	for (unsigned i = 0; i < plan->ntables; i++)
		b->nflows += plan->tables[i].nflows;
	b->flows = xcalloc(b->nflows, sizeof *b->flows);
	for (unsigned i = 0, n = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].nflows; k++)
			b->flows[n++].flow = &plan->tables[i].flows[k];
	return b;
}

void batch_destroy(struct batch *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->nflows; i++)
		for (unsigned op = 0; op < OP_COUNT; op++)
			free(b->flows[i].lists[op].rows);
	free(b->flows);
	free(b);
}

void batch_reset(struct batch *b)
{
	for (unsigned i = 0; i < b->nflows; i++)
		for (unsigned op = 0; op < OP_COUNT; op++)
			b->flows[i].lists[op].count = 0;
}

static void push(struct flow_rows *f, enum op op, const struct fold_entry *e)
{
	struct row_list *list = &f->lists[op];

	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 256;
		list->rows = xrealloc(list->rows, list->cap * sizeof *list->rows);
	}
	list->rows[list->count++] = (struct op_row){ e->before, e->after };
}

static void sort_survivor(struct flow_rows *f, const struct fold_entry *e)
{
	const struct flow_plan *flow = f->flow;

	bool kept = flow_reads_unchanged(flow, e->after);
	enum op all_there = flow->renew.sql ? OP_RENEW : OP_UPSERT;

	/* a row that went and came is another one: nothing stays of the first */
	if ((e->replaced && flow->unfilled) || !flow_key_same(flow, e->before, e->after)) {
		push(f, OP_REMOVE, e);
		push(f, OP_INSERT, e);
		return;
	}
	if (flow_leaves(flow, kept))
		push(f, OP_LEAVE, e);
	push(f, kept ? OP_UPDATE : all_there, e);
}

/* What did not change was added when it came. */
static void sort_lookup(struct flow_rows *f, const struct fold_entry *e)
{
	if (e->after && !flow_reads_unchanged(f->flow, e->after))
		push(f, OP_UPSERT, e);
}

static void sort_entry(struct flow_rows *f, const struct fold_entry *e)
{
	if (f->flow->lookup)
		sort_lookup(f, e);
	else if (e->existed && e->after)
		sort_survivor(f, e);
	else if (e->existed)
		push(f, OP_REMOVE, e);
	else if (e->after)
		push(f, OP_INSERT, e);
}

void batch_fill(struct batch *b, const struct fold *f)
{
	for (unsigned i = 0, n = 0; i < b->plan->ntables; i++) {
		const struct fold_table *t = &f->tables[i];
		for (unsigned k = 0; k < t->table->nflows; k++, n++)
			for (const struct fold_entry *e = t->first; e; e = e->next)
				sort_entry(&b->flows[n], e);
	}
}

static size_t row_bytes(const struct flow_plan *flow, const struct op_row *row)
{
	const struct value *v = row->after ? row->after : row->before;
	size_t n = 0;

	for (unsigned i = 0; i < flow->nreads; i++)
		n += v[flow->reads[i]].text.len;
	return n;
}

/* How many of the rows go into one statement: at least one. */
static unsigned slice(const struct flow_plan *flow, const struct op_row *rows, unsigned left)
{
	size_t bytes = 0;
	unsigned n = 0;

	while (n < left && n < ROWS_A_STATEMENT && (n == 0 || bytes < BYTES_A_STATEMENT))
		bytes += row_bytes(flow, &rows[n++]);
	return n;
}

static bool send_list(const struct flow_rows *f, enum op op, struct pipe *pipe,
		      struct op_params *params, struct err *e)
{
	const struct row_list *list = &f->lists[op];
	bool few = list->count <= FEW_ROWS;

	if (op == OP_RENEW && few) /* comes to the same */
		op = OP_UPSERT;
	few = few && op_statement(f->flow, op)->one;
	for (unsigned at = 0; at < list->count;) {
		unsigned n = few ? 1 : slice(f->flow, &list->rows[at], list->count - at);
		if (!op_send(pipe, f->flow, op, &list->rows[at], n, params, e))
			return false;
		at += n;
	}
	return true;
}

/* Lookups first of all: what leaves and what comes is found through them. */
enum turn { TURN_LOOKUPS, TURN_REMOVALS, TURN_REST };

static enum turn turn_of(const struct flow_plan *flow, enum op op)
{
	if (flow->lookup)
		return TURN_LOOKUPS;
	return op_removes(op) ? TURN_REMOVALS : TURN_REST;
}

static bool send_rank(const struct batch *b, unsigned rank, enum turn turn, struct pipe *pipe,
		      struct op_params *params, struct err *e)
{
	for (unsigned op = 0; op < OP_COUNT; op++)
		for (unsigned i = 0; i < b->nflows; i++)
			if (b->flows[i].flow->rank == rank &&
			    turn_of(b->flows[i].flow, op) == turn &&
			    !send_list(&b->flows[i], op, pipe, params, e))
				return false;
	return true;
}

bool batch_send(struct batch *b, struct pipe *pipe, struct op_params *params, struct err *e)
{
	for (unsigned rank = 0; rank <= b->plan->max_rank; rank++)
		if (!send_rank(b, rank, TURN_LOOKUPS, pipe, params, e))
			return false;
	for (unsigned rank = b->plan->max_rank + 1; rank-- > 0;)
		if (!send_rank(b, rank, TURN_REMOVALS, pipe, params, e))
			return false;
	for (unsigned rank = 0; rank <= b->plan->max_rank; rank++)
		if (!send_rank(b, rank, TURN_REST, pipe, params, e))
			return false;
	return true;
}
