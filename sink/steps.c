#include "sink/steps.h"

#include <stdlib.h>

void steps_finish(struct step_list *l)
{
	free(l->steps);
	*l = (struct step_list){ NULL, 0, 0 };
}

static void add(struct step_list *l, const struct step *s)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->steps = xrealloc(l->steps, l->cap * sizeof *l->steps);
	}
	l->steps[l->count++] = *s;
}

/* How an update reaches a flow's target. */
enum way { IN_PLACE, MOVE, REPLACE };

static enum way update_way(const struct flow_plan *flow, const struct op_row *row)
{
	if (!flow->keyed)
		return REPLACE;
	if (!row->before || flow_key_same(flow, row->before, row->after))
		return IN_PLACE;
	bool moves = flow->moves || flow_reads_unchanged(flow, row->after);
	return moves && flow->move.sql ? MOVE : REPLACE;
}

static void take_away(struct step_list *l, struct step s, enum change_kind kind)
{
	const struct op_row same = { s.row.after, s.row.after };

	if (kind == CHANGE_INSERT)
		return;
	enum way way = kind == CHANGE_DELETE ? REPLACE : update_way(s.flow, &s.row);
	bool kept = way == IN_PLACE && flow_reads_unchanged(s.flow, s.row.after);
	if (way == MOVE || (way == IN_PLACE && !flow_leaves(s.flow, kept)))
		return;
	s.op = way == IN_PLACE ? OP_LEAVE : OP_REMOVE;
	if (way == IN_PLACE)
		s.row = same;
	add(l, &s);
}

static void bring(struct step_list *l, struct step s, enum change_kind kind)
{
	const struct op_row same = { s.row.after, s.row.after };

	if (kind == CHANGE_DELETE)
		return;
	enum way way = kind == CHANGE_INSERT ? REPLACE : update_way(s.flow, &s.row);
	s.op = way == MOVE ? OP_MOVE : OP_INSERT;
	if (way == IN_PLACE) {
		s.op = flow_reads_unchanged(s.flow, s.row.after) ? OP_UPDATE : OP_UPSERT;
		s.row = same;
	}
	add(l, &s);
}

/* What did not change was added when it came. */
static void look_up(struct step_list *l, struct step s)
{
	if (!s.row.after || flow_reads_unchanged(s.flow, s.row.after))
		return;
	s.op = OP_UPSERT;
	add(l, &s);
}

static bool is_turn(const struct flow_plan *flow, unsigned rank, bool lookup)
{
	return flow->rank == rank && flow->lookup == lookup;
}

/* Lookups; then all that goes before all that comes, so that no flow undoes another's,
 * children first, then parents first. */
void steps_add(struct step_list *l, unsigned max_rank, const struct table_plan *t,
	       const struct change *c, const struct flow_view *views)
{
	for (unsigned rank = 0; rank <= max_rank; rank++)
		for (unsigned i = 0; i < t->nflows; i++)
			if (is_turn(&t->flows[i], rank, true) && !views[i].skip)
				look_up(l, (struct step){ .table = t,
							  .flow = &t->flows[i],
							  .change = c,
							  .row = views[i].row });
	for (unsigned rank = max_rank + 1; rank-- > 0;)
		for (unsigned i = 0; i < t->nflows; i++)
			if (is_turn(&t->flows[i], rank, false) && !views[i].skip)
				take_away(l,
					  (struct step){ .table = t,
							 .flow = &t->flows[i],
							 .change = c,
							 .row = views[i].row },
					  views[i].kind);
	for (unsigned rank = 0; rank <= max_rank; rank++)
		for (unsigned i = 0; i < t->nflows; i++)
			if (is_turn(&t->flows[i], rank, false) && !views[i].skip)
				bring(l,
				      (struct step){ .table = t,
						     .flow = &t->flows[i],
						     .change = c,
						     .row = views[i].row },
				      views[i].kind);
}

static bool clear_flow(struct step_list *l, const struct table_plan *t,
		       const struct flow_plan *flow, const struct change *c, struct err *e)
{
	if (flow->lookup)
		return true; /* its rows stay */
	if (!flow->sole)
		return err_set(
		    e, ERR_CONFIG,
		    "TRUNCATE of %s: %s holds rows of other flows too, which no literal in the key "
		    "tells apart; delete the rows of %s with DELETE instead",
		    t->label, flow->target_name, t->label);
	if (c->has_before && !flow->clear_copied.sql)
		return err_set(
		    e, ERR_CONFIG,
		    "TRUNCATE of %s fell between the snapshots its chunks were copied "
		    "under, and a row of %s does not tell its chunk; abort and start again",
		    t->label, flow->target_name);
	add(l, &(struct step){ .table = t,
			       .flow = flow,
			       .change = c,
			       .op = c->has_before ? OP_CLEAR_COPIED : OP_CLEAR,
			       .row = { c->has_before ? c->before.values : NULL, NULL } });
	return true;
}

bool steps_add_clear(struct step_list *l, const struct table_plan *t, const struct change *c,
		     unsigned rank, struct err *e)
{
	for (unsigned i = 0; i < t->nflows; i++)
		if (t->flows[i].rank == rank && !clear_flow(l, t, &t->flows[i], c, e))
			return false;
	return true;
}

bool steps_send(const struct step_list *l, unsigned first, unsigned end, struct pipe *pipe,
		struct op_params *params, struct err *e)
{
	for (unsigned i = first; i < end; i++) {
		const struct step *s = &l->steps[i];
		if (!op_send(pipe, s->flow, s->op, &s->row, 1, params, e))
			return false;
	}
	return true;
}

const char *row_key_text(const struct table_plan *t, const struct value *row, struct arena *a)
{
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

bool step_explain(const struct step *s, lsn_t commit_lsn, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	const struct value *row = s->row.before ? s->row.before : s->row.after;
	const struct statement *statement = op_statement(s->flow, s->op);
	char lsn[LSN_TEXT];

	err_wrap(e, "flow %s -> %s, %s of table %s row (%s), transaction %s, SQL %s",
		 s->table->label, s->flow->target_name, op_name(s->op), s->table->label,
		 row_key_text(s->table, row, &scratch), lsn_format(commit_lsn, lsn),
		 statement->one ? statement->one : statement->sql);
	arena_finish(&scratch);
	return false;
}
