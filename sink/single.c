#include "sink/single.h"

#include "core/log.h"
#include "sink/steps.h"

/* What one flow makes of the change. */
struct part {
	struct reject *old; /* the row's, until now; NULL: none */
	bool refused;
	bool keep;      /* refused: the older version stays in any case */
	struct err why; /* refused: as the server said it */
};

struct attempt {
	struct exact *x;
	const struct table_plan *table;
	const struct change *change; /* NULL: a retry */
	lsn_t lsn;
	struct arena arena;
	struct part *parts;      /* one a flow */
	struct flow_view *views; /* one a flow */
	struct step_list steps;
};

bool single_may_refuse(enum op op, enum change_kind kind, const struct err *e)
{
	if (e->kind != ERR_DATA || kind == CHANGE_DELETE || kind == CHANGE_TRUNCATE)
		return false;
	return (op != OP_UPDATE && op != OP_MOVE) || !strstr(e->text, PLAN_VALUES_MISSING);
}

static void begin(struct attempt *a, struct exact *x, const struct table_plan *t)
{
	*a = (struct attempt){ .x = x, .table = t };
	a->parts = arena_array(&a->arena, t->nflows, sizeof *a->parts);
	a->views = arena_array(&a->arena, t->nflows, sizeof *a->views);
}

static void finish(struct attempt *a)
{
	steps_finish(&a->steps);
	arena_finish(&a->arena);
}

/* --- what was put aside before --- */

/* Later values, with the reject's where the later were not sent. */
static const struct value *whole_row(struct attempt *a, const struct value *later,
				     const struct value *kept)
{
	struct value *v = arena_array(&a->arena, a->table->ncolumns, sizeof *v);

	for (unsigned i = 0; i < a->table->ncolumns; i++)
		v[i] = later[i].kind == VALUE_UNCHANGED ? kept[i] : later[i];
	return v;
}

/* The change as the flow's target sees it, which has the row's older version or nothing. */
static void see_past_reject(struct attempt *a, struct flow_view *v, const struct reject *old)
{
	v->row.before = old->held;
	if (v->kind == CHANGE_UPDATE) {
		v->row.after = whole_row(a, v->row.after, old->row);
		v->kind = old->held ? CHANGE_UPDATE : CHANGE_INSERT;
	}
	v->skip = v->kind == CHANGE_DELETE && !old->held;
}

static bool find_rejects(struct attempt *a, const struct single *s, struct err *e)
{
	const struct value *known_by = s->row.before ? s->row.before : s->row.after;

	for (unsigned i = 0; i < a->table->nflows; i++) {
		a->views[i] = (struct flow_view){ false, s->change->kind, s->row };
		if (!rejects_touched(a->x->rejects, a->table, s->change->kind, known_by))
			continue;
		const struct reject_of of = { a->table, &a->table->flows[i], known_by };
		if (!ledger_reject_find(a->x->pg, a->x->plan->migration, &of, &a->arena,
					&a->parts[i].old, e))
			return false;
		if (a->parts[i].old)
			see_past_reject(a, &a->views[i], a->parts[i].old);
	}
	return true;
}

/* --- the flows that take it --- */

static unsigned flow_index(const struct attempt *a, const struct flow_plan *flow)
{
	return (unsigned)(flow - a->table->flows);
}

/* What is looked at only at a commit, looked at now: nothing else is open in a retry. */
static bool send_check(const struct attempt *a, struct pipe *pipe, struct err *e)
{
	return a->change || (pipe_send(pipe, "SET CONSTRAINTS ALL IMMEDIATE", e) &&
			     pipe_send(pipe, "SET CONSTRAINTS ALL DEFERRED", e));
}

/* *failed: the step that was refused, the last one where it was the check after all. */
static bool send_flows(struct attempt *a, const struct flow_view *views, int *failed, struct err *e)
{
	struct pipe pipe;
	struct err late = ERR_INIT;

	a->steps.count = 0;
	steps_add(&a->steps, a->x->plan->max_rank, a->table, a->change, views);
	if (!pipe_begin(&pipe, a->x->pg, e))
		return false;
	bool sent = blame_send(a->x->blame, &a->steps, 0, a->steps.count, &pipe, a->x->params, e) &&
		    send_check(a, &pipe, e);
	bool ok = pipe_finish(&pipe, failed, NULL, sent ? e : &late) && sent;
	if (*failed != PIPE_NONE)
		*failed /= (int)blame_stride(a->x->blame);
	if (!sent || a->steps.count == 0)
		*failed = PIPE_NONE;
	else if (*failed >= (int)a->steps.count)
		*failed = (int)a->steps.count - 1;
	return ok;
}

static unsigned new_rejects(const struct attempt *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < a->table->nflows; i++)
		n += a->parts[i].refused && !a->parts[i].old;
	return n;
}

static bool no_room(struct attempt *a, const struct step *s, struct err *e)
{
	step_explain(s, a->lsn, e);
	return err_wrap(e, "%u rows are put aside and rejects allows no more",
			rejects_count(a->x->rejects));
}

static bool room_for_one(const struct attempt *a, unsigned flow)
{
	return a->parts[flow].old || rejects_room(a->x->rejects, new_rejects(a) + 1);
}

/* Leaves out one more flow. A retry changes nothing for the worse. A lookup is never left
 * out: the rows of other flows are found through it, and would be missing unnoticed. */
static bool refuse(struct attempt *a, unsigned failed, struct err *e)
{
	const struct step *s = &a->steps.steps[failed];
	unsigned i = flow_index(a, s->flow);

	if (s->flow->lookup ||
	    (a->change ? !single_may_refuse(s->op, a->views[i].kind, e) : e->kind != ERR_DATA))
		return step_explain(s, a->lsn, e);
	if (a->change && !room_for_one(a, i))
		return no_room(a, s, e);
	a->parts[i].refused = a->views[i].skip = true;
	a->parts[i].why = *e;
	err_clear(e);
	return pg_exec(a->x->pg, "ROLLBACK TO SAVEPOINT single", e);
}

static bool foresee(struct attempt *a, unsigned i, const struct refusal *r, struct err *e)
{
	const struct step s = { a->table, &a->table->flows[i], a->change, r->op, a->views[i].row };
	struct err why = ERR_INIT;

	err_set(&why, ERR_DATA, "%s", r->text);
	memcpy(why.sqlstate, r->sqlstate, sizeof why.sqlstate);
	if (!room_for_one(a, i)) {
		*e = why;
		return no_room(a, &s, e);
	}
	a->parts[i] = (struct part){ a->parts[i].old, true, r->keep, why };
	a->views[i].skip = true;
	return true;
}

/* The flows that are known to refuse the change are left out at once. */
static bool foresee_all(struct attempt *a, const struct single *s, struct err *e)
{
	for (unsigned i = 0; i < a->table->nflows; i++) {
		const struct flow_plan *flow = &a->table->flows[i];
		const struct refusal *r = blame_refusal(a->x->blame, s->change, flow);
		if (!r && s->known && s->known->flow == flow->no)
			r = s->known;
		if (r && !a->views[i].skip && !foresee(a, i, r, e))
			return false;
	}
	return true;
}

static bool try_flows(struct attempt *a, struct err *e)
{
	int failed = PIPE_NONE;
	bool any = false;

	for (unsigned i = 0; i < a->table->nflows; i++)
		any |= !a->views[i].skip;
	if (!any)
		return true;
	if (!pg_exec(a->x->pg, "SAVEPOINT single", e))
		return false;
	while (!send_flows(a, a->views, &failed, e))
		if (failed == PIPE_NONE || e->kind == ERR_RETRY || !refuse(a, (unsigned)failed, e))
			return false;
	return pg_exec(a->x->pg, "RELEASE SAVEPOINT single", e);
}

/* --- what becomes of the older version --- */

/* Does the target keep the row under the name that it has now, or need what was not sent? */
static bool holds(const struct flow_plan *flow, const struct op_row *row)
{
	if (!row->before || flow_reads_unchanged(flow, row->after))
		return true;
	return flow->keyed && flow_key_same(flow, row->before, row->after);
}

/*
 * A row that has another key now must not stand in the way of the next one with its old key.
 * If the target does not let go of it, it stays, and the reject says so.
 */
static bool let_go(struct attempt *a, unsigned flow, bool *held, struct err *e)
{
	const struct flow_view *v = &a->views[flow];
	struct flow_view *views = arena_array(&a->arena, a->table->nflows, sizeof *views);
	int failed;

	*held = v->kind == CHANGE_UPDATE;
	if (!*held || a->parts[flow].keep || holds(&a->table->flows[flow], &v->row))
		return true;
	for (unsigned i = 0; i < a->table->nflows; i++)
		views[i].skip = i != flow;
	views[flow].kind = CHANGE_DELETE;
	views[flow].row.before = v->row.before;
	if (!pg_exec(a->x->pg, "SAVEPOINT single", e))
		return false;
	*held = !send_flows(a, views, &failed, e);
	if (*held && e->kind != ERR_DATA)
		return false;
	err_clear(e);
	return pg_exec(a->x->pg,
		       *held ? "ROLLBACK TO SAVEPOINT single; RELEASE SAVEPOINT single"
			     : "RELEASE SAVEPOINT single",
		       e);
}

/* --- what is put aside now --- */

static uint64_t identity_hash(const struct flow_plan *flow, const struct value *row)
{
	return values_hash(row, flow->identity, flow->nidentity);
}

static bool drop_reject(struct attempt *a, const struct flow_plan *flow, const struct reject *old,
			struct err *e)
{
	rejects_remove(a->x->rejects, a->table, identity_hash(flow, old->row));
	return ledger_reject_remove(a->x->pg, old->id, e);
}

static void log_reject(const struct table_plan *table, const struct flow_plan *flow,
		       const struct reject *r)
{
	struct arena scratch = ARENA_INIT;
	char lsn[LSN_TEXT];

	log_event(LOG_WARN, "reject", "table=%s target=%s key=%s sqlstate=%s lsn=%s sequence=%lld",
		  log_name(&scratch, table->label), log_name(&scratch, flow->target_name),
		  log_quote(&scratch, row_key_text(table, r->row, &scratch)), r->sqlstate,
		  lsn_format(r->lsn, lsn), (long long)r->sequence);
	arena_finish(&scratch);
}

void single_log(const struct plan *plan, const struct reject *r)
{
	const struct table_plan *table;
	const struct flow_plan *flow;

	if (reject_flow(plan, r->flow, &table, &flow))
		log_reject(table, flow, r);
}

static bool put_aside(struct attempt *a, unsigned i, struct err *e)
{
	const struct flow_plan *flow = &a->table->flows[i];
	const struct flow_view *v = &a->views[i];
	struct reject r = { .row = v->row.after,
			    .lsn = a->lsn,
			    .sequence = a->change->sequence,
			    .chunk = -1,
			    .sqlstate = a->parts[i].why.sqlstate,
			    .error = a->parts[i].why.text };

	bool held;

	if (!let_go(a, i, &held, e))
		return false;
	if (held)
		r.held = v->row.before ? v->row.before : v->row.after;
	if (!a->x->blame)
		log_reject(a->table, flow, &r);
	rejects_add(a->x->rejects, a->table, identity_hash(flow, r.row));
	return ledger_reject_add(a->x->pg, a->x->plan->migration, a->table, flow, &r, e);
}

static bool write_rejects(struct attempt *a, struct err *e)
{
	for (unsigned i = 0; i < a->table->nflows; i++) {
		const struct part *p = &a->parts[i];
		if (p->old && !drop_reject(a, &a->table->flows[i], p->old, e))
			return false;
		if (p->refused && !put_aside(a, i, e))
			return false;
	}
	return true;
}

bool single_apply(struct single *s, struct err *e)
{
	struct attempt a;

	begin(&a, s->x, s->table);
	a.change = s->change;
	a.lsn = s->lsn;
	bool ok = find_rejects(&a, s, e) && foresee_all(&a, s, e) && try_flows(&a, e) &&
		  write_rejects(&a, e);
	finish(&a);
	return ok;
}

/* --- again --- */

static void view_only(struct attempt *a, unsigned flow, const struct reject *r)
{
	for (unsigned i = 0; i < a->table->nflows; i++)
		a->views[i].skip = i != flow;
	a->views[flow].kind = r->held ? CHANGE_UPDATE : CHANGE_INSERT;
	a->views[flow].row = (struct op_row){ r->held, r->row };
}

bool single_retry(struct exact *x, const struct reject *r, bool *in, struct err *e)
{
	const struct table_plan *table;
	const struct flow_plan *flow;
	struct attempt a;

	if (!reject_flow(x->plan, r->flow, &table, &flow))
		return err_set(e, ERR_CONFIG, "flow %u is not in the file any more", r->flow);
	begin(&a, x, table);
	a.lsn = r->lsn;
	view_only(&a, flow_index(&a, flow), r);
	bool ok = try_flows(&a, e);
	const struct part *p = &a.parts[flow_index(&a, flow)];
	*in = ok && !p->refused;
	if (*in)
		ok = drop_reject(&a, flow, r, e);
	else if (ok)
		ok = ledger_reject_tried(x->pg, r->id, p->why.sqlstate, p->why.text, e);
	finish(&a);
	return ok;
}
