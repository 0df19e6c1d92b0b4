#include "sink/apply.h"

#include "pg/pipe.h"
#include "pg/progress.h"
#include "pg/quote.h"
#include "sink/again.h"
#include "sink/batch.h"
#include "sink/single.h"

#include <stdlib.h>

enum { MAX_TRIES = 5 }; /* of a batch that met a deadlock or the like */
enum { RETRIES_A_COMMIT = 100 };

/* Where the target stands, or will when what was sent is answered. */
struct standing {
	lsn_t lsn;                    /* as the progress row says */
	bool open;                    /* a target transaction waits for the next part */
	struct progress_step carried; /* what the open one has applied so far */
};

/* What was sent at once, as sets. */
struct flight {
	struct transaction *list; /* NULL: nothing is under way */
	struct pipe pipe;
	bool begins, ends; /* a target transaction */
	struct standing before, after;
};

struct applier {
	struct pg *pg;
	const struct plan *plan;
	struct progress progress;
	struct standing now;
	struct flight flight; /* sent, and not answered yet */
	struct arena arena;   /* bindings, texts */
	struct bindings bindings;
	struct arena scratch; /* of one look at a batch */
	struct rejects *rejects;
	struct fold *fold;
	struct batch *batch;
	struct op_params params;
	const char *mark, *mark_sql; /* this target transaction is ours */
	struct again *again;
};

static bool prepare_flow(struct applier *a, const struct flow_plan *flow, struct err *e)
{
	for (unsigned op = 0; op < OP_COUNT; op++) {
		const struct statement *s = op_statement(flow, op);
		if ((s->sql && !pg_prepare_arrays(a->pg, s, e)) ||
		    (s->one && !pg_prepare_one(a->pg, s, e)))
			return err_wrap(e, "prepare %s into %s", op_name(op), flow->target_name);
	}
	return true;
}

/* Sent with every batch: prepared, so that the server need not read them each time. */
static const char begin_name[] = "begin", deferred_name[] = "deferred", commit_name[] = "commit";

static bool prepare_frame(struct applier *a, struct err *e)
{
	return pg_prepare(a->pg, begin_name, "BEGIN", e) &&
	       pg_prepare(a->pg, deferred_name, "SET CONSTRAINTS ALL DEFERRED", e) &&
	       pg_prepare(a->pg, commit_name, "COMMIT", e) && progress_prepare(a->pg, e);
}

static bool prepare_all(struct applier *a, struct err *e)
{
	/* arrays give the planner no size: plans by index, once, not anew each time */
	if (!pg_exec(a->pg, "SET plan_cache_mode = force_generic_plan", e) || !prepare_frame(a, e))
		return false;
	for (unsigned i = 0; i < a->plan->ntables; i++)
		for (unsigned k = 0; k < a->plan->tables[i].nflows; k++)
			if (!prepare_flow(a, &a->plan->tables[i].flows[k], e))
				return false;
	return true;
}

static void make_mark(struct applier *a, const char *migration)
{
	a->mark = arena_printf(&a->arena, "apply %s", migration);
	a->mark_sql = arena_printf(&a->arena,
				   "SELECT pg_logical_emit_message(true, 'pgcrossfade', %s)",
				   arena_literal(&a->arena, a->mark));
}

bool applier_create(struct pg *target, const struct plan *plan, const struct progress *at,
		    struct again *again, struct applier **out, struct err *e)
{
	struct applier *a = xcalloc(1, sizeof *a);

	a->pg = target;
	a->plan = plan;
	a->progress = *at;
	a->now.lsn = at->lsn;
	a->again = again;
	a->bindings = (struct bindings){ plan, &a->arena, NULL };
	a->rejects = rejects_create(plan);
	a->fold = fold_create(plan);
	a->batch = batch_create(plan);
	make_mark(a, plan->migration);
	if (!prepare_all(a, e) || !rejects_load(a->rejects, target, e)) {
		applier_destroy(a);
		return false;
	}
	*out = a;
	return true;
}

void applier_destroy(struct applier *a)
{
	if (!a)
		return;
	transaction_destroy_all(a->flight.list);
	rejects_destroy(a->rejects);
	fold_destroy(a->fold);
	batch_destroy(a->batch);
	op_params_finish(&a->params);
	arena_finish(&a->scratch);
	arena_finish(&a->arena);
	free(a);
}

/* --- what a target transaction begins and ends with --- */

enum { CLAIM_AT = 1 }; /* its place in what send_begin() sends */

/* whole: the one step that this target transaction makes; NULL: that comes at its end. */
static bool send_begin(struct applier *a, struct pipe *pipe, const struct progress_step *whole,
		       struct err *e)
{
	if (!pipe_send_prepared(pipe, begin_name, 0, NULL, e))
		return false;
	bool claimed = whole ? progress_send_all(pipe, &a->progress, whole, a->mark, e)
			     : progress_send_claim(pipe, &a->progress, a->now.lsn, e) &&
				   pipe_send(pipe, a->mark_sql, e);
	return claimed && pipe_send_prepared(pipe, deferred_name, 0, NULL, e);
}

static struct progress_step step_to(const struct applier *a, const struct transaction *list)
{
	struct progress_step s = { .from = a->now.lsn };

	if (a->now.open) {
		s.changes = a->now.carried.changes;
		s.transactions = a->now.carried.transactions;
	}
	for (const struct transaction *t = list; t; t = t->next) {
		s.changes += t->nchanges;
		s.transactions += t->last;
		s.to = t->commit_lsn;
		s.commit_time = t->commit_time;
	}
	return s;
}

/* A claim that fails by a division by zero found the progress row moved. */
static bool explain_claim(struct err *e)
{
	if (strcmp(e->sqlstate, "22012") != 0)
		return false;
	return err_set(e, ERR_RETRY, "the progress row was moved by another connection");
}

static bool finish_pipe(struct pipe *pipe, bool sent, int claim_at, struct err *e)
{
	struct err late = ERR_INIT;
	int failed;
	bool ok = pipe_finish(pipe, &failed, NULL, sent ? e : &late);

	if (!ok && sent && failed == claim_at)
		explain_claim(e);
	return ok && sent;
}

/* --- set-based --- */

/* What is known of a row that was put aside counts in exact order only. */
static bool needs_order(struct applier *a, const struct transaction *t)
{
	if (t->commit_lsn == a->again->lsn)
		return true;
	if (!rejects_count(a->rejects))
		return false;
	bool touched = rejects_in(a->rejects, &a->bindings, t, &a->scratch);
	arena_reset(&a->scratch);
	return touched;
}

static enum fold_result fold_list(struct applier *a, const struct transaction *list, struct err *e)
{
	enum fold_result result = FOLDED;

	fold_reset(a->fold);
	for (const struct transaction *t = list; t && result == FOLDED; t = t->next)
		result = needs_order(a, t) ? FOLD_NEEDS_ORDER
					   : fold_add(a->fold, &a->bindings, t, e);
	return result;
}

static bool list_ends(const struct transaction *list)
{
	while (list->next)
		list = list->next;
	return list->last;
}

static void chart(struct applier *a, struct transaction *list, struct flight *f)
{
	struct progress_step s = step_to(a, list);

	*f = (struct flight){
		.list = list, .begins = !a->now.open, .ends = list_ends(list), .before = a->now
	};
	f->after = (struct standing){ f->ends ? s.to : s.from, !f->ends, s };
}

static bool send_statements(struct applier *a, struct flight *f, struct err *e)
{
	const struct progress_step *s = &f->after.carried;
	bool whole = f->begins && f->ends;

	batch_reset(a->batch);
	batch_fill(a->batch, a->fold);
	if (f->begins && !send_begin(a, &f->pipe, whole ? s : NULL, e))
		return false;
	if (!batch_send(a->batch, &f->pipe, &a->params, e))
		return false;
	if (f->ends && !whole && !progress_send(&f->pipe, &a->progress, s, e))
		return false;
	return !f->ends || pipe_send_prepared(&f->pipe, commit_name, 0, NULL, e);
}

/* What was folded. False: not all of it went, and what went must not be committed. */
static bool send_sets(struct applier *a, struct transaction *list, struct flight *f, struct err *e)
{
	struct err late = ERR_INIT;

	chart(a, list, f);
	if (!pipe_begin(&f->pipe, a->pg, e))
		return false;
	bool sent = send_statements(a, f, e);
	sent = pipe_end(&f->pipe, sent ? e : &late) && sent;
	if (sent)
		a->now = f->after;
	return sent;
}

/* The flows' own statements were fine when they were prepared. */
static bool changed_target(struct err *e)
{
	return strncmp(e->sqlstate, "42", 2) == 0 &&
	       err_wrap(e, "apply to the new tables, which have changed since run began (then "
			   "pgcrossfade check says more), or have a trigger that fails");
}

static bool answered(struct applier *a, struct flight *f, bool sent, struct err *e)
{
	if (!f->pipe.pg) /* it did not begin */
		return false;
	if (!finish_pipe(&f->pipe, sent, f->begins ? CLAIM_AT : PIPE_NONE, e))
		return changed_target(e);
	if (f->ends)
		rejects_settled(a->rejects);
	return true;
}

static void undo(struct applier *a)
{
	pg_rollback(a->pg);
	a->now.open = false;
}

/* Everything since before is as if it had not been. */
static void go_back(struct applier *a, const struct standing *before)
{
	a->now = *before;
	undo(a);
}

static bool apply_sets(struct applier *a, struct transaction *list, struct err *e)
{
	struct standing before = a->now;
	struct flight f;
	bool sent = send_sets(a, list, &f, e);

	if (answered(a, &f, sent, e))
		return true;
	go_back(a, &before);
	return false;
}

/* --- exact order --- */

static struct progress_step step_to_one(const struct applier *a, const struct transaction *t)
{
	struct transaction one = *t;

	one.next = NULL;
	return step_to(a, &one);
}

static bool end_exact(struct applier *a, const struct transaction *t, const struct progress_step *s,
		      struct err *e)
{
	struct pipe pipe;

	if (!pipe_begin(&pipe, a->pg, e))
		return false;
	bool sent = progress_send(&pipe, &a->progress, s, e) &&
		    pipe_send_prepared(&pipe, commit_name, 0, NULL, e);
	if (!finish_pipe(&pipe, sent, PIPE_NONE, e)) {
		char lsn[LSN_TEXT];
		return err_wrap(e, "commit of transaction %s", lsn_format(t->commit_lsn, lsn));
	}
	a->now = (struct standing){ .lsn = s->to };
	rejects_settled(a->rejects);
	return true;
}

static bool begin_exact(struct applier *a, struct err *e)
{
	struct pipe pipe;

	return pipe_begin(&pipe, a->pg, e) &&
	       finish_pipe(&pipe, send_begin(a, &pipe, NULL, e), CLAIM_AT, e);
}

static struct exact exact_of(struct applier *a)
{
	return (struct exact){ a->pg, a->plan, &a->bindings, &a->params, a->rejects, NULL };
}

/* What is looked at only now may be laid to rows that came in parts before. */
static bool end_one(struct applier *a, const struct transaction *t, const struct progress_step *s,
		    struct err *e)
{
	if (end_exact(a, t, s, e))
		return true;
	return e->kind == ERR_DATA && !t->first && rejects_possible(a->rejects) &&
	       !again_is_marked(a->again, t) && again_with_marks(a->again, a->plan, t, e);
}

static bool apply_exact(struct applier *a, const struct transaction *list, struct err *e)
{
	struct exact x = exact_of(a);

	for (const struct transaction *t = list; t; t = t->next) {
		if (!a->now.open && !begin_exact(a, e))
			return false;
		struct progress_step s = step_to_one(a, t);
		a->now.open = true;
		if (!again_apply(a->again, &x, t, e) || (t->last && !end_one(a, t, &s, e)))
			return false;
		a->now.carried = s;
	}
	return true;
}

/*
 * Where rows may be put aside there are many such batches, so one commit does for all of one.
 * What stops the run all the same is met again, and committed up to, by apply_exact().
 */
static bool apply_together(struct applier *a, const struct transaction *list, struct err *e)
{
	struct exact x = exact_of(a);
	struct progress_step s = step_to(a, list);

	return begin_exact(a, e) && exact_apply_all(&x, list, e) && end_exact(a, list, &s, e);
}

static bool may_go_together(const struct applier *a, const struct transaction *list)
{
	return rejects_possible(a->rejects) && !a->now.open && list->next && list_ends(list);
}

/* --- both --- */

static bool in_order(struct applier *a, const struct transaction *list, struct err *e)
{
	if (may_go_together(a, list)) {
		if (apply_together(a, list, e))
			return true;
		undo(a);
		if (e->kind == ERR_RETRY || !rejects_load(a->rejects, a->pg, e))
			return false;
		err_clear(e);
	}
	if (apply_exact(a, list, e))
		return true;
	undo(a);
	return false;
}

static bool one_try(struct applier *a, struct transaction *list, bool sets_tried, struct err *e)
{
	bool continues = a->now.open;

	if (rejects_dirty(a->rejects) && !continues && !rejects_load(a->rejects, a->pg, e))
		return false;
	switch (sets_tried ? FOLD_NEEDS_ORDER : fold_list(a, list, e)) {
	case FOLD_FAILED:
		undo(a);
		return false;
	case FOLD_NEEDS_ORDER:
		break; /* an open transaction goes on in order: what is in it came before */
	case FOLDED:
		if (apply_sets(a, list, e))
			return true;
		if (e->kind != ERR_DATA)
			return false;
		if (continues)
			return again_in_order(a->again, list, e);
		err_clear(e);
		break;
	}
	return in_order(a, list, e);
}

/* What an earlier try committed in exact order is not applied twice. */
static struct transaction *not_applied(const struct applier *a, struct transaction *list)
{
	while (list && list->commit_lsn <= a->now.lsn)
		list = list->next;
	return list;
}

static bool apply_now(struct applier *a, struct transaction *list, bool sets_tried, struct err *e)
{
	bool continues = a->now.open;

	for (unsigned tries = 1;; tries++) {
		list = not_applied(a, list);
		if (!list || one_try(a, list, sets_tried, e))
			return true;
		if (e->kind != ERR_RETRY || pg_lost(a->pg) || continues || tries == MAX_TRIES ||
		    a->again->lsn == list->commit_lsn)
			return false;
		err_clear(e);
	}
}

/* --- ahead: sent while the target is still busy with what was sent before --- */

/* What was under way was refused: it is applied again, and waited for. */
static bool recover(struct applier *a, struct flight *f, struct err *e)
{
	bool refused = e->kind == ERR_DATA;

	go_back(a, &f->before);
	if (pg_lost(a->pg) || (!refused && (e->kind != ERR_RETRY || f->before.open)))
		return false;
	if (refused && f->before.open)
		return again_in_order(a->again, f->list, e);
	err_clear(e);
	return apply_now(a, f->list, refused, e);
}

bool applier_settle(struct applier *a, struct err *e)
{
	struct flight f = a->flight;

	a->flight.list = NULL;
	bool ok = !f.list || answered(a, &f, true, e) || recover(a, &f, e);
	transaction_destroy_all(f.list);
	return ok;
}

/*
 * Without what it follows the new flight cannot be committed: it either continues the target
 * transaction that failed, or claims the progress row at a position that was not reached.
 */
static bool follow(struct applier *a, struct flight *f, bool sent, struct err *e)
{
	struct flight earlier = a->flight;
	struct err why = ERR_INIT, ignored = ERR_INIT;
	bool ok = !earlier.list || answered(a, &earlier, true, &why);

	a->flight.list = NULL;
	if (ok && sent) {
		a->flight = *f;
		transaction_destroy_all(earlier.list);
		return true;
	}
	answered(a, f, false, &ignored);
	go_back(a, &f->before);
	if (!ok && sent) {
		ok = recover(a, &earlier, &why) && apply_now(a, f->list, false, &why);
		if (!ok)
			*e = why;
	}
	transaction_destroy_all(earlier.list);
	transaction_destroy_all(f->list);
	return ok && sent;
}

static bool goes_ahead(struct applier *a, const struct transaction *list)
{
	struct err ignored = ERR_INIT;

	return !rejects_dirty(a->rejects) && fold_list(a, list, &ignored) == FOLDED;
}

bool applier_apply(struct applier *a, struct transaction *list, bool ahead, struct err *e)
{
	struct flight f;

	if (ahead && goes_ahead(a, list)) {
		bool sent = send_sets(a, list, &f, e);
		return follow(a, &f, sent, e);
	}
	bool ok = applier_settle(a, e) && apply_now(a, list, false, e);
	transaction_destroy_all(list);
	return ok;
}

bool applier_waits(const struct applier *a)
{
	return a->flight.list != NULL;
}

/* --- rejects --- */

static bool retry_slice(struct applier *a, struct retry *retry, struct err *e)
{
	struct exact x = exact_of(a);

	for (unsigned i = 0; i < RETRIES_A_COMMIT && !retry->done; i++) {
		struct reject *r;
		bool in;
		arena_reset(&a->scratch);
		if (!ledger_reject_after(a->pg, a->plan, retry->after, retry->target, &a->scratch,
					 &r, e))
			return false;
		retry->done = r == NULL;
		if (!r)
			break;
		if (!single_retry(&x, r, &in, e))
			return false;
		retry->after = r->id;
		retry->in += in;
		retry->left += !in;
	}
	return pg_commit(a->pg, e);
}

bool applier_retry(struct applier *a, struct retry *retry, struct err *e)
{
	struct retry before = *retry;

	if (!applier_settle(a, e))
		return false;
	if (rejects_dirty(a->rejects) && !rejects_load(a->rejects, a->pg, e))
		return false;
	if (begin_exact(a, e) && retry_slice(a, retry, e)) {
		rejects_settled(a->rejects);
		return true;
	}
	undo(a);
	*retry = before;
	return false;
}

const char *applier_mark(const struct applier *a)
{
	return a->mark_sql;
}

bool applier_is_open(const struct applier *a)
{
	return a->now.open;
}
