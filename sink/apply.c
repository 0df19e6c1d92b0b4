#include "sink/apply.h"

#include "pg/pipe.h"
#include "pg/progress.h"
#include "pg/quote.h"
#include "sink/batch.h"
#include "sink/exact.h"
#include "sink/single.h"

#include <stdlib.h>

enum { MAX_TRIES = 5 }; /* of a batch that met a deadlock or the like */
enum { RETRIES_A_COMMIT = 100 };

struct applier {
	struct pg *pg;
	const struct plan *plan;
	struct progress progress; /* lsn: as the row says */
	struct arena arena;       /* bindings, texts */
	struct bindings bindings;
	struct arena scratch; /* of one look at a batch */
	struct rejects *rejects;
	struct fold *fold;
	struct batch *batch;
	struct op_params params;
	const char *mark;             /* SQL: this target transaction is ours */
	bool open;                    /* a target transaction waits for the next part */
	struct progress_step carried; /* what the open one has applied so far */
	lsn_t exact_lsn;
};

static bool prepare_flow(struct applier *a, const struct flow_plan *flow, struct err *e)
{
	for (unsigned op = 0; op < OP_COUNT; op++) {
		const struct statement *s = op_statement(flow, op);
		if (s->sql && !pg_prepare_arrays(a->pg, s, e))
			return err_wrap(e, "prepare %s into %s", op_name(op), flow->target_name);
	}
	return true;
}

static bool prepare_all(struct applier *a, struct err *e)
{
	/* arrays give the planner no size: plans by index, once, not anew each time */
	if (!pg_exec(a->pg, "SET plan_cache_mode = force_generic_plan", e) ||
	    !progress_prepare(a->pg, e))
		return false;
	for (unsigned i = 0; i < a->plan->ntables; i++)
		for (unsigned k = 0; k < a->plan->tables[i].nflows; k++)
			if (!prepare_flow(a, &a->plan->tables[i].flows[k], e))
				return false;
	return true;
}

static const char *mark_sql(struct arena *arena, const char *migration)
{
	const char *text = arena_printf(arena, "apply %s", migration);

	return arena_printf(arena, "SELECT pg_logical_emit_message(true, 'pgcrossfade', %s)",
			    arena_literal(arena, text));
}

bool applier_create(struct pg *target, const struct plan *plan, const struct progress *at,
		    lsn_t exact_lsn, struct applier **out, struct err *e)
{
	struct applier *a = xcalloc(1, sizeof *a);

	a->pg = target;
	a->plan = plan;
	a->progress = *at;
	a->exact_lsn = exact_lsn;
	a->bindings = (struct bindings){ plan, &a->arena, NULL };
	a->rejects = rejects_create(plan);
	a->fold = fold_create(plan);
	a->batch = batch_create(plan);
	a->mark = mark_sql(&a->arena, plan->migration);
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

static bool send_begin(struct applier *a, struct pipe *pipe, struct err *e)
{
	return pipe_send(pipe, "BEGIN", e) &&
	       progress_send_claim(pipe, &a->progress, a->progress.lsn, e) &&
	       pipe_send(pipe, a->mark, e) && pipe_send(pipe, "SET CONSTRAINTS ALL DEFERRED", e);
}

static struct progress_step step_to(const struct applier *a, const struct transaction *list)
{
	struct progress_step s = { .from = a->progress.lsn };

	if (a->open) {
		s.changes = a->carried.changes;
		s.transactions = a->carried.transactions;
	}
	for (const struct transaction *t = list; t; t = t->next) {
		s.changes += t->nchanges;
		s.transactions += t->last;
		s.to = t->commit_lsn;
		s.commit_time = t->commit_time;
	}
	return s;
}

static bool send_end(struct applier *a, struct pipe *pipe, const struct progress_step *s,
		     struct err *e)
{
	return progress_send(pipe, &a->progress, s, e) && pipe_send(pipe, "COMMIT", e);
}

static void committed(struct applier *a, const struct progress_step *s)
{
	a->progress.lsn = s->to;
	rejects_settled(a->rejects);
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
	if (t->commit_lsn == a->exact_lsn)
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

static bool apply_sets(struct applier *a, const struct transaction *list, struct err *e)
{
	struct progress_step s = step_to(a, list);
	bool begin = !a->open, end = list_ends(list);
	struct pipe pipe;

	batch_reset(a->batch);
	batch_fill(a->batch, a->fold);
	if (!pipe_begin(&pipe, a->pg, e))
		return false;
	bool sent = (!begin || send_begin(a, &pipe, e)) &&
		    batch_send(a->batch, &pipe, &a->params, e);
	sent = sent && (!end || send_end(a, &pipe, &s, e));
	if (!finish_pipe(&pipe, sent, begin ? CLAIM_AT : PIPE_NONE, e))
		return false;
	a->open = !end;
	a->carried = s;
	if (end)
		committed(a, &s);
	return true;
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
	bool sent = send_end(a, &pipe, s, e);
	if (!finish_pipe(&pipe, sent, PIPE_NONE, e)) {
		char lsn[LSN_TEXT];
		return err_wrap(e, "commit of transaction %s", lsn_format(t->commit_lsn, lsn));
	}
	a->open = false;
	committed(a, s);
	return true;
}

static bool begin_exact(struct applier *a, struct err *e)
{
	struct pipe pipe;

	return pipe_begin(&pipe, a->pg, e) &&
	       finish_pipe(&pipe, send_begin(a, &pipe, e), CLAIM_AT, e);
}

static struct exact exact_of(struct applier *a)
{
	return (struct exact){ a->pg, a->plan, &a->bindings, &a->params, a->rejects, NULL };
}

static bool apply_exact(struct applier *a, const struct transaction *list, struct err *e)
{
	struct exact x = exact_of(a);

	for (const struct transaction *t = list; t; t = t->next) {
		if (!a->open && !begin_exact(a, e))
			return false;
		struct progress_step s = step_to_one(a, t);
		a->open = true;
		if (!exact_apply(&x, t, e) || (t->last && !end_exact(a, t, &s, e)))
			return false;
		a->carried = s;
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
	return rejects_possible(a->rejects) && !a->open && list->next && list_ends(list);
}

/* --- both --- */

static void undo(struct applier *a)
{
	pg_rollback(a->pg);
	a->open = false;
}

/* Earlier parts are gone with the rollback: only the stream can bring them again. */
static bool again_from_start(struct applier *a, const struct transaction *t, struct err *e)
{
	a->exact_lsn = t->commit_lsn;
	return err_set(e, ERR_RETRY,
		       "a transaction in parts met a refused row; it is streamed "
		       "again and applied in exact order");
}

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

static bool one_try(struct applier *a, const struct transaction *list, struct err *e)
{
	bool continues = a->open;

	if (rejects_dirty(a->rejects) && !a->open && !rejects_load(a->rejects, a->pg, e))
		return false;
	switch (fold_list(a, list, e)) {
	case FOLD_FAILED:
		undo(a);
		return false;
	case FOLD_NEEDS_ORDER:
		break; /* an open transaction goes on in order: what is in it came before */
	case FOLDED:
		if (apply_sets(a, list, e))
			return true;
		undo(a);
		if (e->kind != ERR_DATA)
			return false;
		if (continues)
			return again_from_start(a, list, e);
		err_clear(e);
		break;
	}
	return in_order(a, list, e);
}

/* What an earlier try committed in exact order is not applied twice. */
static const struct transaction *not_applied(const struct applier *a,
					     const struct transaction *list)
{
	while (list && list->commit_lsn <= a->progress.lsn)
		list = list->next;
	return list;
}

bool applier_apply(struct applier *a, const struct transaction *list, struct err *e)
{
	bool continues = a->open;

	for (unsigned tries = 1;; tries++) {
		list = not_applied(a, list);
		if (!list || one_try(a, list, e))
			return true;
		if (e->kind != ERR_RETRY || pg_lost(a->pg) || continues || tries == MAX_TRIES ||
		    a->exact_lsn == list->commit_lsn)
			return false;
		err_clear(e);
	}
}

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
	return a->mark;
}

bool applier_is_open(const struct applier *a)
{
	return a->open;
}

lsn_t applier_exact_lsn(const struct applier *a)
{
	return a->exact_lsn;
}
