#include "sink/orphans.h"

#include "pg/foreign.h"
#include "pg/ledger_reject.h"

/* The flow with its remove narrowed to rows without parent, under a name of its own. */
static bool narrow(struct exact *x, const struct flow_plan *flow, struct arena *a,
		   struct flow_plan *out, bool *any, struct err *e)
{
	const char *condition;

	if (!foreign_missing(x->pg, flow->target, "t", a, &condition, e))
		return false;
	*any = condition != NULL;
	if (!*any)
		return true;
	*out = *flow;
	out->remove.one_name = "pgcrossfade_orphan";
	out->remove.one = arena_printf(a, "%s AND (%s)", flow->remove.one, condition);
	return pg_prepare_one(x->pg, &out->remove, e);
}

/* The values that were not sent are with the older version alone. */
static bool is_needed(const struct flow_plan *flow, const struct reject *r)
{
	for (unsigned i = 0; i < flow->nstored; i++)
		if (r->row[flow->stored[i]].kind == VALUE_UNCHANGED)
			return true;
	return false;
}

static bool remove_held(struct exact *x, const struct flow_plan *narrowed, const struct reject *r,
			uint64_t *gone, struct err *e)
{
	const struct op_row row = { r->held, NULL };
	struct err late = ERR_INIT;
	struct pipe pipe;
	int failed;

	*gone = 0;
	if (!pipe_begin(&pipe, x->pg, e))
		return false;
	bool sent = op_send(&pipe, narrowed, OP_REMOVE, &row, 1, x->params, e);
	return pipe_finish(&pipe, &failed, sent ? gone : NULL, sent ? e : &late) && sent;
}

static bool let_go(struct exact *x, const struct flow_plan *narrowed, const struct reject *r,
		   unsigned *count, struct err *e)
{
	uint64_t gone;

	if (!pg_exec(x->pg, "SAVEPOINT orphan", e))
		return false;
	if (!remove_held(x, narrowed, r, &gone, e)) {
		if (e->kind != ERR_DATA)
			return false;
		err_clear(e);
		return pg_exec(x->pg, "ROLLBACK TO SAVEPOINT orphan; RELEASE SAVEPOINT orphan", e);
	}
	*count += gone > 0;
	return pg_exec(x->pg, "RELEASE SAVEPOINT orphan", e) &&
	       (!gone || ledger_reject_not_held(x->pg, r->id, e));
}

static bool of_narrowed(struct exact *x, const struct flow_plan *narrowed, unsigned *count,
			struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct reject *r = NULL;
	int64_t after = 0;
	bool ok;

	do {
		arena_reset(&scratch);
		ok = ledger_reject_after(x->pg, x->plan, after, narrowed->target_name, &scratch, &r,
					 e);
		if (!ok || !r)
			break;
		after = r->id;
		if (r->flow == narrowed->no && r->held && !is_needed(narrowed, r))
			ok = let_go(x, narrowed, r, count, e);
	} while (ok);
	arena_finish(&scratch);
	return ok;
}

static bool of_flow(struct exact *x, const struct flow_plan *flow, unsigned *count, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct flow_plan narrowed;
	bool any = false;
	bool ok = narrow(x, flow, &scratch, &narrowed, &any, e);

	if (any && ok)
		ok = of_narrowed(x, &narrowed, count, e) &&
		     pg_exec(x->pg, "DEALLOCATE pgcrossfade_orphan", e);
	arena_finish(&scratch);
	return ok;
}

bool orphans_let_go(struct exact *x, unsigned *count, struct err *e)
{
	*count = 0;
	for (unsigned i = 0; i < x->plan->ntables; i++) {
		const struct table_plan *t = &x->plan->tables[i];
		for (unsigned k = 0; rejects_of(x->rejects, t) && k < t->nflows; k++)
			if (t->flows[k].keyed && t->flows[k].remove.one &&
			    !of_flow(x, &t->flows[k], count, e))
				return err_wrap(e, "let go of older versions in %s",
						t->flows[k].target_name);
	}
	return true;
}
