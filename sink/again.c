#include "sink/again.h"

#include "sink/blame.h"

/* Refusals beyond the rows that may be put aside: some are refused at several of their changes,
 * and of one row too many the error is to tell when it comes again. */
enum { SPARE = 1000 };

static void again_begin(struct again *g, lsn_t commit_lsn, struct blame *blame)
{
	blame_destroy(g->blame);
	g->lsn = commit_lsn;
	g->blame = blame;
}

void again_finish(struct again *g)
{
	again_begin(g, 0, NULL);
}

void again_early(struct again *g, lsn_t commit_lsn)
{
	g->early = commit_lsn;
	g->wanted = true;
}

bool again_in_order(struct again *g, const struct transaction *t, struct err *e)
{
	again_begin(g, t->commit_lsn, NULL);
	g->wanted = true;
	return err_set(e, ERR_RETRY,
		       "a transaction in parts met a refused row; it is streamed "
		       "again and applied in exact order");
}

static bool end_refused(struct again *g, struct err *e)
{
	g->wanted = true;
	return err_set(e, ERR_RETRY,
		       "a transaction in parts was refused at its end; it is streamed again to "
		       "put aside what breaks it (known so far: %u)",
		       blame_count(g->blame));
}

bool again_with_marks(struct again *g, const struct plan *plan, const struct transaction *t,
		      struct err *e)
{
	again_begin(g, t->commit_lsn, blame_create(plan->rejects + SPARE));
	return end_refused(g, e);
}

bool again_is_marked(const struct again *g, const struct transaction *t)
{
	return g->blame && t->commit_lsn == g->lsn && !(t->first && t->last);
}

static bool look_at_end(struct again *g, struct exact *x, const struct transaction *t,
			struct err *e)
{
	switch (blame_look(g->blame, x, t->commit_lsn, e)) {
	case LOOK_CLEAN:
		return blame_end(g->blame, x, e);
	case LOOK_BLAMED:
		return end_refused(g, e);
	case LOOK_FAILED:
		break;
	}
	return false;
}

bool again_apply(struct again *g, struct exact *x, const struct transaction *t, struct err *e)
{
	if (!again_is_marked(g, t))
		return exact_apply(x, t, e);
	if (t->first && !blame_begin(g->blame, x->pg, e))
		return false;
	x->blame = g->blame;
	bool ok = exact_apply(x, t, e);
	x->blame = NULL;
	return ok && (!t->last || look_at_end(g, x, t, e));
}
