#include "sink/exact.h"

#include "pg/ledger_reject.h"
#include "sink/blame.h"
#include "sink/single.h"
#include "sink/steps.h"

#include <stdlib.h>

/* Steps that go in one round trip. After a refusal fewer, for those before it go twice. */
enum { MOST_STEPS = 256, LEAST_STEPS = 16 };

/* What is collected: a change, or the look that is taken where a transaction ends. */
struct item {
	const struct transaction *transaction;
	const struct change *change; /* NULL: the end */
	unsigned steps, sent;        /* before it: steps collected, statements sent */
};

struct walk {
	struct exact *x;
	bool refuses;                          /* a refusal need not be the end */
	const struct transaction *transaction; /* not walked yet: its change next, or its end */
	const struct change *next;
	const struct transaction *stop;
	/* Only the current transaction is collected, and there is a savepoint before it unless it
	 * came in parts: all that is refused is refused then. */
	bool alone, saved;
	bool moved; /* by a refusal: what was collected is not all done */
	struct arena arena;
	struct step_list steps;
	struct item *items;
	unsigned count, cap, window;
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

/* known: a refusal that need not be tried again; NULL: none */
static bool single(struct walk *w, const struct change *c, const struct found *f,
		   const struct refusal *known, struct err *e)
{
	struct single s = { .x = w->x,
			    .table = f->table,
			    .change = c,
			    .row = f->row,
			    .lsn = w->transaction->commit_lsn,
			    .known = known };

	return single_apply(&s, e);
}

/* --- where the walk is --- */

static bool is_whole(const struct transaction *t)
{
	return t->first && t->last;
}

static void go_to(struct walk *w, const struct transaction *t)
{
	w->transaction = t;
	w->next = t != w->stop ? t->changes : NULL;
}

/* Drops what was collected from there on. */
static void cut(struct walk *w, unsigned count)
{
	if (count < w->count)
		w->steps.count = w->items[count].steps;
	w->count = count;
}

static void collect(struct walk *w, const struct change *c)
{
	if (w->count == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 64;
		w->items = xrealloc(w->items, w->cap * sizeof *w->items);
	}
	w->items[w->count++] = (struct item){ w->transaction, c, w->steps.count, 0 };
}

/* --- what was collected --- */

static unsigned steps_end(const struct walk *w, unsigned item)
{
	return item + 1 < w->count ? w->items[item + 1].steps : w->steps.count;
}

static bool send_item(struct walk *w, unsigned i, struct pipe *pipe, struct err *e)
{
	struct item *item = &w->items[i];

	item->sent = pipe->sent;
	if (item->change)
		return blame_send(w->x->blame, &w->steps, item->steps, steps_end(w, i), pipe,
				  w->x->params, e);
	return pipe_send(pipe, "SET CONSTRAINTS ALL IMMEDIATE", e) &&
	       pipe_send(pipe, "SET CONSTRAINTS ALL DEFERRED", e);
}

static bool send_before(struct walk *w, struct pipe *pipe, struct err *e)
{
	bool save = w->alone && !w->saved && is_whole(w->items[0].transaction);

	w->saved |= save;
	return (!save || pipe_send(pipe, "SAVEPOINT transaction", e)) &&
	       pipe_send(pipe, "SAVEPOINT steps", e);
}

/* A savepoint only where it may be gone back to. *failed: the item, or PIPE_NONE. */
static bool send_items(struct walk *w, unsigned count, int *failed, int *statement, struct err *e)
{
	struct pipe pipe;

	if (!pipe_begin(&pipe, w->x->pg, e))
		return false;
	bool sent = !w->refuses || send_before(w, &pipe, e);
	for (unsigned i = 0; sent && i < count; i++)
		sent = send_item(w, i, &pipe, e);
	sent = sent && (!w->refuses || pipe_send(&pipe, "RELEASE SAVEPOINT steps", e));
	struct err late = ERR_INIT; /* leave pipeline mode; the first error counts */
	bool ok = pipe_finish(&pipe, statement, NULL, sent ? e : &late) && sent;
	*failed = (int)count - 1;
	while (*failed >= 0 && (!sent || *statement < (int)w->items[*failed].sent))
		(*failed)--; /* to PIPE_NONE, which is -1 */
	return ok;
}

static bool settle(struct walk *w)
{
	w->count = w->steps.count = 0;
	arena_reset(&w->arena);
	return true;
}

/* What came before the item that failed goes once more. */
static bool send_again(struct walk *w, unsigned count, struct err *e)
{
	int failed, statement;

	if (!pg_exec(w->x->pg, "ROLLBACK TO SAVEPOINT steps; RELEASE SAVEPOINT steps", e))
		return false;
	w->window = w->window / 2 < LEAST_STEPS ? LEAST_STEPS : w->window / 2;
	cut(w, count);
	return count == 0 || send_items(w, count, &failed, &statement, e);
}

/* --- a transaction by itself --- */

static bool flush(struct walk *w, struct err *e);
static bool walk(struct walk *w, struct err *e);

/* The current transaction, from its start, when what came before it is done. */
static bool go_alone(struct walk *w, struct err *e)
{
	const struct transaction *t = w->transaction;
	unsigned before = 0;

	while (before < w->count && w->items[before].transaction != t)
		before++;
	cut(w, before);
	w->next = t->changes;
	if (!flush(w, e))
		return false;
	if (w->transaction == t) /* none before it was refused */
		w->alone = true;
	return true;
}

/* Before what is not collected: a savepoint that the whole transaction is undone to. */
static bool save(struct walk *w, struct err *e)
{
	if (!w->refuses || w->saved || !is_whole(w->transaction))
		return true;
	w->saved = true;
	return pg_exec(w->x->pg, "SAVEPOINT transaction", e);
}

static bool leave_alone(struct walk *w, struct err *e)
{
	bool saved = w->saved;

	w->alone = w->saved = false;
	go_to(w, w->transaction->next);
	return !saved || pg_exec(w->x->pg, "RELEASE SAVEPOINT transaction", e);
}

/* One round: all of it but what is refused by now, then a look. */
static enum look blame_round(struct walk *w, const struct transaction *t, struct err *e)
{
	struct walk again = { .x = w->x,
			      .refuses = true,
			      .transaction = t,
			      .next = t->changes,
			      .stop = t->next,
			      .alone = true,
			      .saved = true,
			      .window = MOST_STEPS };
	bool ok = walk(&again, e);

	steps_finish(&again.steps);
	free(again.items);
	arena_finish(&again.arena);
	return ok ? blame_look(w->x->blame, w->x, t->commit_lsn, e) : LOOK_FAILED;
}

static bool go_back(struct walk *w, const char *sql, struct err *e)
{
	return pg_exec(w->x->pg, sql, e) && rejects_again(w->x->rejects, w->x->pg, e);
}

static bool blame_rounds(struct walk *w, const struct transaction *t, struct err *e)
{
	for (;;) {
		switch (blame_round(w, t, e)) {
		case LOOK_CLEAN:
			return true;
		case LOOK_FAILED:
			return false;
		case LOOK_BLAMED:
			break;
		}
		if (!go_back(w, "ROLLBACK TO SAVEPOINT blame", e))
			return false;
	}
}

/* The end of a transaction was refused: the rows that it was refused for are put aside. */
static bool blame(struct walk *w, const struct transaction *t, struct err *e)
{
	struct exact *x = w->x;
	struct blame *b = blame_create(UINT64_MAX);

	x->blame = b;
	bool ok = go_back(w, "ROLLBACK TO SAVEPOINT transaction", e) && blame_begin(b, x->pg, e) &&
		  pg_exec(x->pg, "SAVEPOINT blame", e) && blame_rounds(w, t, e) &&
		  pg_exec(x->pg, "RELEASE SAVEPOINT blame", e);
	x->blame = NULL;
	ok = ok && blame_end(b, x, e);
	blame_destroy(b);
	settle(w);
	return ok && leave_alone(w, e);
}

/* --- refused --- */

static bool explain_item(const struct item *item, const struct step *s, struct err *e)
{
	char lsn[LSN_TEXT];

	if (item->change)
		return step_explain(s, item->transaction->commit_lsn, e);
	return err_wrap(e, "end of transaction %s", lsn_format(item->transaction->commit_lsn, lsn));
}

/*
 * The change that failed is applied by itself, and all after it are walked again: the row it
 * speaks of may be put aside from then on.
 */
static bool set_apart(struct walk *w, unsigned failed, const struct step *s, struct err *e)
{
	const struct change *c = s->change;
	struct refusal known = { c->sequence, s->flow->no, s->op, false, "", e->text };
	struct err why = *e;
	struct found f;

	known.text = why.text;
	memcpy(known.sqlstate, why.sqlstate, sizeof known.sqlstate);
	err_clear(e);
	if (!send_again(w, failed, e) || !find_change(w, c, &f, e))
		return false;
	w->next = c->next;
	if (!single(w, c, &f, &known, e))
		return false;
	return settle(w);
}

static bool refused(struct walk *w, unsigned failed, const struct step *s, struct err *e)
{
	const struct item item = w->items[failed];

	w->moved = true;
	if (!w->refuses ||
	    (item.change ? !single_may_refuse(s->op, item.change->kind, e) : e->kind != ERR_DATA))
		return explain_item(&item, s, e); /* a lost connection does not need it */
	if (!w->alone) {
		err_clear(e);
		w->transaction = item.transaction;
		while (failed && w->items[failed - 1].transaction == item.transaction)
			failed--;
		if (!send_again(w, failed, e))
			return false;
		settle(w);
		return go_alone(w, e);
	}
	if (item.change)
		return set_apart(w, failed, s, e);
	err_clear(e);
	return blame(w, item.transaction, e);
}

static bool flush(struct walk *w, struct err *e)
{
	int failed = PIPE_NONE, statement = PIPE_NONE;

	if (w->count == 0)
		return true;
	if (send_items(w, w->count, &failed, &statement, e)) {
		w->window = w->window * 2 > MOST_STEPS ? MOST_STEPS : w->window * 2;
		return settle(w);
	}
	if (failed == PIPE_NONE || e->kind == ERR_RETRY)
		return false;
	const struct item *item = &w->items[failed];
	unsigned step = item->steps +
			((unsigned)statement - item->sent) / blame_stride(w->x->blame);
	const struct step s = item->change ? w->steps.steps[step] : (struct step){ 0 };
	return refused(w, (unsigned)failed, &s, e);
}

/* --- the walk --- */

/* A row that was put aside, or is to be: by itself, when what came before is done. */
static bool apply_single(struct walk *w, const struct change *c, const struct found *f,
			 struct err *e)
{
	if (!w->alone)
		return go_alone(w, e);
	if (w->count)
		return flush(w, e);
	w->next = c->next;
	return save(w, e) && single(w, c, f, NULL, e);
}

/*
 * What goes now is in the target for good, unless there is a savepoint before its transaction: one
 * that is too large to be collected as a whole goes by itself, so that nothing of it goes twice.
 */
static bool flush_full(struct walk *w, struct err *e)
{
	if (w->steps.count < w->window)
		return true;
	return w->alone ? flush(w, e) : go_alone(w, e);
}

/* A whole change at a time, so that none is cut by the end of a pipe. */
static bool apply_change(struct walk *w, const struct change *c, struct err *e)
{
	struct found f;

	if (!find_change(w, c, &f, e))
		return false;
	if (f.table) {
		const struct value *known_by = f.row.before ? f.row.before : f.row.after;
		if (rejects_touched(w->x->rejects, f.table, c->kind, known_by) ||
		    blame_refusal(w->x->blame, c, NULL))
			return apply_single(w, c, &f, e);
		struct flow_view *views = arena_array(&w->arena, f.table->nflows, sizeof *views);
		for (unsigned i = 0; i < f.table->nflows; i++)
			views[i] = (struct flow_view){ false, c->kind, f.row };
		collect(w, c);
		steps_add(&w->steps, w->x->plan->max_rank, f.table, c, views);
	}
	w->next = c->next;
	return flush_full(w, e);
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

	if (!w->alone)
		return go_alone(w, e);
	if (w->count)
		return flush(w, e);
	if (!save(w, e))
		return false;
	while (end && end->kind == CHANGE_TRUNCATE)
		end = end->next;
	w->next = end;
	collect(w, first);
	for (unsigned rank = w->x->plan->max_rank + 1; rank-- > 0;)
		for (const struct change *c = first; c != end; c = c->next)
			if (!clear_rank(w, c, rank, e))
				return false;
	return flush(w, e);
}

/* Late constraints are looked at here, but in blame()'s rounds, which look by themselves. */
static bool end_transaction(struct walk *w, struct err *e)
{
	const struct transaction *t = w->transaction;
	bool begun = w->alone || (w->count && w->items[w->count - 1].transaction == t);

	if (w->refuses && is_whole(t) && begun && !w->x->blame)
		collect(w, NULL);
	if (!w->alone) {
		go_to(w, t->next);
		return w->steps.count < w->window || flush(w, e);
	}
	w->moved = false;
	if (!flush(w, e))
		return false;
	if (w->moved)
		return true;
	if (!w->x->blame)
		return leave_alone(w, e);
	go_to(w, t->next);
	return true;
}

static bool walk(struct walk *w, struct err *e)
{
	while (w->transaction != w->stop || w->count) {
		bool ok = w->transaction == w->stop          ? flush(w, e)
			  : !w->next                         ? end_transaction(w, e)
			  : w->next->kind == CHANGE_TRUNCATE ? apply_truncates(w, e)
							     : apply_change(w, w->next, e);
		if (!ok)
			return false;
	}
	return true;
}

static bool walk_list(struct exact *x, const struct transaction *first,
		      const struct transaction *stop, bool alone, struct err *e)
{
	struct walk w = { .x = x,
			  .refuses = rejects_possible(x->rejects),
			  .transaction = first,
			  .next = first->changes,
			  .stop = stop,
			  .alone = alone,
			  .window = MOST_STEPS };
	bool ok = walk(&w, e);

	steps_finish(&w.steps);
	free(w.items);
	arena_finish(&w.arena);
	return ok;
}

bool exact_apply(struct exact *x, const struct transaction *t, struct err *e)
{
	return walk_list(x, t, t->next, true, e);
}

bool exact_apply_all(struct exact *x, const struct transaction *list, struct err *e)
{
	return walk_list(x, list, NULL, false, e);
}
