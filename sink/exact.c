#include "sink/exact.h"

#include "sink/single.h"
#include "sink/steps.h"

#include <stdlib.h>

enum { STEPS_A_PIPE = 256 };

/* The steps that go in one round trip, and the changes they are of. */
struct walk {
	struct exact *x;
	const struct transaction *transaction;
	struct arena arena;
	struct step_list steps;
	const struct change *next; /* not walked yet */
};

/* A change, found in the plan. */
struct found {
	const struct table_plan *table; /* NULL: nothing to do */
	struct op_row row;
};

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

static bool find_change(struct walk *w, const struct change *c, struct found *out, struct err *e)
{
	const struct binding *b = c->relation ? bindings_find(w->x->bindings, c->relation) : NULL;

	*out = (struct found){ 0 };
	if (!b)
		return true;
	if (!b->table)
		return binding_unknown(b, e);
	if (!check_before(b->table, c, e))
		return false;
	if (c->has_before)
		out->row.before = binding_row(b, &c->before, &w->arena);
	if (c->kind != CHANGE_DELETE)
		out->row.after = binding_row(b, &c->after, &w->arena);
	if (!binding_check(b, c->kind, out->row.after, e))
		return false;
	out->table = b->table;
	return true;
}

static bool single(struct walk *w, const struct change *c, const struct found *f, struct err *e)
{
	struct single s = { .x = w->x,
			    .table = f->table,
			    .change = c,
			    .row = f->row,
			    .lsn = w->transaction->commit_lsn };

	return single_apply(&s, e);
}

/* --- what was collected --- */

/* A savepoint only where it may be gone back to. */
static bool send_steps(struct walk *w, unsigned count, int *failed, struct err *e)
{
	bool save = rejects_possible(w->x->rejects);
	struct pipe pipe;

	if (!pipe_begin(&pipe, w->x->pg, e))
		return false;
	bool sent = (!save || pipe_send(&pipe, "SAVEPOINT steps", e)) &&
		    steps_send(&w->steps, 0, count, &pipe, w->x->params, e) &&
		    (!save || pipe_send(&pipe, "RELEASE SAVEPOINT steps", e));
	struct err late = ERR_INIT; /* leave pipeline mode; the first error counts */
	bool ok = pipe_finish(&pipe, failed, NULL, sent ? e : &late) && sent;
	if (save && *failed != PIPE_NONE)
		(*failed)--;
	if (!sent || *failed < 0 || (unsigned)*failed >= count)
		*failed = PIPE_NONE;
	return ok;
}

/*
 * The change that failed is applied by itself, and all after it are walked again: the row it
 * speaks of may be put aside from then on.
 */
static bool set_apart(struct walk *w, unsigned failed, struct err *e)
{
	const struct change *c = w->steps.steps[failed].change;
	unsigned before = 0;
	struct found f;
	int again;

	err_clear(e);
	while (w->steps.steps[before].change != c)
		before++;
	if (!pg_exec(w->x->pg, "ROLLBACK TO SAVEPOINT steps; RELEASE SAVEPOINT steps", e) ||
	    (before && !send_steps(w, before, &again, e)) || !find_change(w, c, &f, e))
		return false;
	w->next = c->next;
	w->steps.count = 0;
	return single(w, c, &f, e);
}

static bool flush(struct walk *w, struct err *e)
{
	int failed = PIPE_NONE;

	if (w->steps.count == 0)
		return true;
	if (send_steps(w, w->steps.count, &failed, e)) {
		w->steps.count = 0;
		return true;
	}
	if (failed == PIPE_NONE || e->kind == ERR_RETRY)
		return false;
	const struct step *s = &w->steps.steps[failed];
	if (rejects_possible(w->x->rejects) && single_may_refuse(s->op, s->change->kind, e))
		return set_apart(w, (unsigned)failed, e);
	/* ERR_DATA gets the whole story; a lost connection or a deadlock does not need it */
	return step_explain(s, w->transaction->commit_lsn, e);
}

/* --- the walk --- */

/* A whole change at a time, so that none is cut by the end of a pipe. */
static bool apply_change(struct walk *w, const struct change *c, struct err *e)
{
	struct found f;

	if (!find_change(w, c, &f, e))
		return false;
	w->next = c->next;
	if (!f.table)
		return true;
	const struct value *known_by = f.row.before ? f.row.before : f.row.after;
	if (rejects_touched(w->x->rejects, f.table, c->kind, known_by)) {
		if (w->steps.count == 0)
			return single(w, c, &f, e);
		w->next = c; /* once more, when what came before is done */
		return flush(w, e);
	}
	struct flow_view *views = arena_array(&w->arena, f.table->nflows, sizeof *views);
	for (unsigned i = 0; i < f.table->nflows; i++)
		views[i] = (struct flow_view){ false, c->kind, f.row };
	steps_add(&w->steps, w->x->plan->max_rank, f.table, c, views);
	return w->steps.count < STEPS_A_PIPE || flush(w, e);
}

static bool forget_rejects(struct walk *w, const struct table_plan *t, struct err *e)
{
	struct exact *x = w->x;

	if (!rejects_of(x->rejects, t))
		return true;
	rejects_clear(x->rejects, t);
	return ledger_rejects_clear(x->pg, x->plan->migration, t->label, NULL, e);
}

static bool clear_rank(struct walk *w, const struct change *c, unsigned rank, struct err *e)
{
	const struct table_plan *t = bindings_find(w->x->bindings, c->relation)->table;

	return !t || (forget_rejects(w, t, e) && steps_add_clear(&w->steps, t, c, rank, e));
}

/* The tables of one TRUNCATE come one after the other; children are cleared first. */
static bool apply_truncates(struct walk *w, struct err *e)
{
	const struct change *first = w->next, *end = first;

	while (w->steps.count && w->next == first) /* a flush may go back */
		if (!flush(w, e))
			return false;
	if (w->next != first)
		return true;
	while (end && end->kind == CHANGE_TRUNCATE)
		end = end->next;
	w->next = end;
	for (unsigned rank = w->x->plan->max_rank + 1; rank-- > 0;)
		for (const struct change *c = first; c != end; c = c->next)
			if (!clear_rank(w, c, rank, e))
				return false;
	return flush(w, e);
}

static bool apply_changes(struct walk *w, struct err *e)
{
	w->next = w->transaction->changes;
	while (w->next || w->steps.count) {
		bool ok = !w->next                           ? flush(w, e)
			  : w->next->kind == CHANGE_TRUNCATE ? apply_truncates(w, e)
							     : apply_change(w, w->next, e);
		if (!ok)
			return false;
	}
	return true;
}

bool exact_apply(struct exact *x, const struct transaction *t, struct err *e)
{
	struct walk *w = xcalloc(1, sizeof *w);

	w->x = x;
	w->transaction = t;
	bool ok = apply_changes(w, e);
	steps_finish(&w->steps);
	arena_finish(&w->arena);
	free(w);
	return ok;
}
