#include "sink/exact.h"

#include <stdlib.h>

enum { OPS_A_PIPE = 256 };

/* What was sent, so that a failure can be told by the statement's number. */
struct step {
	const struct table_plan *table;
	const struct flow_plan *flow;
	enum op op;
	struct op_row row;
};

/* The steps of one pipe. */
struct walk {
	struct exact *x;
	const struct transaction *transaction;
	struct arena arena;
	struct pipe pipe;
	struct step steps[OPS_A_PIPE];
	unsigned count;
};

static const char *describe_key(struct arena *a, const struct step *s)
{
	const struct table_plan *t = s->table;
	const struct value *row = s->row.before ? s->row.before : s->row.after;
	const char *text = "";

	for (unsigned i = 0; row && i < t->nkey; i++) {
		const struct value *v = &row[t->key[i]];
		text = arena_printf(
		    a, "%s%s%s=%.*s", text, i ? ", " : "", t->columns[t->key[i]].name,
		    v->kind == VALUE_TEXT ? (int)(v->text.len > 200 ? 200 : v->text.len) : 4,
		    v->kind == VALUE_TEXT ? v->text.data : "NULL");
	}
	return *text ? text : "no key";
}

/* ERR_DATA gets the whole story; a lost connection or a deadlock does not need it. */
static bool explain(struct walk *w, int failed, struct err *e)
{
	char lsn[LSN_TEXT];

	if (failed == PIPE_NONE || e->kind == ERR_RETRY)
		return false;
	const struct step *s = &w->steps[failed];
	const char *key = describe_key(&w->arena, s);
	return err_wrap(e, "flow %s -> %s, %s of table %s row (%s), transaction %s, SQL %s",
			s->table->label, s->flow->target_name, op_name(s->op), s->table->label, key,
			lsn_format(w->transaction->commit_lsn, lsn),
			op_statement(s->flow, s->op)->sql);
}

static bool flush(struct walk *w, struct err *e)
{
	int failed;

	if (!pipe_finish(&w->pipe, &failed, NULL, e))
		return explain(w, failed, e);
	w->count = 0;
	return pipe_begin(&w->pipe, w->x->pg, e);
}

static bool send(struct walk *w, const struct table_plan *t, const struct flow_plan *flow,
		 enum op op, const struct op_row *row, struct err *e)
{
	if (w->count == OPS_A_PIPE && !flush(w, e))
		return false;
	w->steps[w->count++] = (struct step){ t, flow, op, *row };
	return op_send(&w->pipe, flow, op, row, 1, w->x->params, e);
}

/* How an update reaches a flow's target. */
enum way { IN_PLACE, MOVE, REPLACE };

static enum way update_way(const struct flow_plan *flow, const struct op_row *row)
{
	if (!flow->keyed)
		return REPLACE;
	if (!row->before || flow_key_same(flow, row->before, row->after))
		return IN_PLACE;
	return flow_reads_unchanged(flow, row->after) && flow->move.sql ? MOVE : REPLACE;
}

static bool take_away(struct walk *w, const struct table_plan *t, const struct flow_plan *flow,
		      const struct change *c, const struct op_row *row, struct err *e)
{
	struct op_row same = { row->after, row->after };

	if (c->kind == CHANGE_DELETE)
		return send(w, t, flow, OP_REMOVE, row, e);
	if (c->kind == CHANGE_INSERT)
		return true;
	switch (update_way(flow, row)) {
	case REPLACE:
		return send(w, t, flow, OP_REMOVE, row, e);
	case IN_PLACE:
		return !flow->filtered || send(w, t, flow, OP_LEAVE, &same, e);
	case MOVE:
		break;
	}
	return true;
}

static bool bring(struct walk *w, const struct table_plan *t, const struct flow_plan *flow,
		  const struct change *c, const struct op_row *row, struct err *e)
{
	struct op_row same = { row->after, row->after };

	if (c->kind == CHANGE_DELETE)
		return true;
	if (c->kind == CHANGE_INSERT)
		return send(w, t, flow, OP_INSERT, row, e);
	switch (update_way(flow, row)) {
	case REPLACE:
		return send(w, t, flow, OP_INSERT, row, e);
	case MOVE:
		return send(w, t, flow, OP_MOVE, row, e);
	case IN_PLACE:
		break;
	}
	return send(w, t, flow, flow_reads_unchanged(flow, row->after) ? OP_UPDATE : OP_UPSERT,
		    &same, e);
}

static bool clear_flow(struct walk *w, const struct table_plan *t, const struct flow_plan *flow,
		       struct err *e)
{
	struct op_row none = { NULL, NULL };

	if (!flow->sole)
		return err_set(
		    e, ERR_CONFIG,
		    "TRUNCATE of %s: %s holds rows of other flows too, which must not go; "
		    "delete the rows of %s with DELETE instead",
		    t->label, flow->target_name, t->label);
	return send(w, t, flow, OP_CLEAR, &none, e);
}

static bool clear_rank(struct walk *w, const struct change *c, unsigned rank, struct err *e)
{
	const struct binding *b = bindings_find(w->x->bindings, c->relation);

	for (unsigned i = 0; b->table && i < b->table->nflows; i++)
		if (b->table->flows[i].rank == rank &&
		    !clear_flow(w, b->table, &b->table->flows[i], e))
			return false;
	return true;
}

/* All that goes before all that comes, so that no flow undoes another's; children first,
 * then parents first. */
static bool apply_flows(struct walk *w, const struct table_plan *t, const struct change *c,
			const struct op_row *row, struct err *e)
{
	unsigned ranks = w->x->plan->max_rank + 1;

	for (unsigned rank = ranks; rank-- > 0;)
		for (unsigned i = 0; i < t->nflows; i++)
			if (t->flows[i].rank == rank && !take_away(w, t, &t->flows[i], c, row, e))
				return false;
	for (unsigned rank = 0; rank < ranks; rank++)
		for (unsigned i = 0; i < t->nflows; i++)
			if (t->flows[i].rank == rank && !bring(w, t, &t->flows[i], c, row, e))
				return false;
	return true;
}

static bool check_before(const struct table_plan *t, const struct change *c, struct err *e)
{
	if (c->has_before || c->kind == CHANGE_INSERT)
		return true;
	for (unsigned i = 0; i < t->nflows; i++)
		if (c->kind == CHANGE_DELETE || !t->flows[i].keyed)
			return err_set(
			    e, ERR_CONFIG,
			    "%s was changed without its old row, which flow into %s needs: its "
			    "replica identity is not what it was; abort, set REPLICA IDENTITY "
			    "FULL and start again",
			    t->label, t->flows[i].target_name);
	return true;
}

static bool apply_change(struct walk *w, const struct change *c, struct err *e)
{
	const struct binding *b = c->relation ? bindings_find(w->x->bindings, c->relation) : NULL;
	struct op_row row = { NULL, NULL };

	if (!b)
		return true;
	if (!b->table)
		return binding_unknown(b, e);
	if (!check_before(b->table, c, e))
		return false;
	if (c->has_before)
		row.before = binding_row(b, &c->before, &w->arena);
	if (c->kind != CHANGE_DELETE)
		row.after = binding_row(b, &c->after, &w->arena);
	if (!binding_check(b, c->kind, row.after, e))
		return false;
	return apply_flows(w, b->table, c, &row, e);
}

/* The tables of one TRUNCATE come one after the other; children are cleared first. */
static bool apply_truncates(struct walk *w, const struct change **at, struct err *e)
{
	const struct change *first = *at, *end = first;

	while (end && end->kind == CHANGE_TRUNCATE)
		end = end->next;
	*at = end;
	for (unsigned rank = w->x->plan->max_rank + 1; rank-- > 0;)
		for (const struct change *c = first; c != end; c = c->next)
			if (!clear_rank(w, c, rank, e))
				return false;
	return true;
}

static bool apply_changes(struct walk *w, const struct change *c, struct err *e)
{
	while (c) {
		if (c->kind == CHANGE_TRUNCATE) {
			if (!apply_truncates(w, &c, e))
				return false;
			continue;
		}
		if (!apply_change(w, c, e))
			return false;
		c = c->next;
	}
	return true;
}

bool exact_apply(struct exact *x, const struct transaction *t, struct err *e)
{
	struct walk *w = xcalloc(1, sizeof *w);
	int failed;

	w->x = x;
	w->transaction = t;
	bool ok = pipe_begin(&w->pipe, x->pg, e);
	ok = ok && apply_changes(w, t->changes, e);
	if (ok)
		ok = pipe_finish(&w->pipe, &failed, NULL, e) || explain(w, failed, e);
	else {
		struct err ignored = ERR_INIT; /* leave pipeline mode; the first error counts */
		pipe_finish(&w->pipe, &failed, NULL, &ignored);
	}
	arena_finish(&w->arena);
	free(w);
	return ok;
}
