#include "core/log.h"
#include "pg/ledger_reject.h"
#include "service/steps.h"

#include <inttypes.h>

/* "; 3 of public.a -> app.b ({"id": "5"}: value too long ...)" for each flow that has some */
static const char *reasons(struct run *r, struct arena *a, const char *target, struct err *e)
{
	struct reject_count *counts;
	const char *text = "";
	unsigned n = 0;

	if (!ledger_reject_counts(r->session.target, r->migration->name, a, &counts, &n, e))
		return NULL;
	for (unsigned i = 0; i < n; i++)
		if (!target || strcmp(target, counts[i].target) == 0)
			text = arena_printf(a, "%s; %" PRIu64 " of %s -> %s (%s)", text,
					    counts[i].count, counts[i].source, counts[i].target,
					    counts[i].example);
	return text;
}

static bool answer(struct run *r, struct arena *a, struct err *e)
{
	const struct retrying *t = &r->retrying;
	const char *why = reasons(r, a, t->pass.target, e);

	if (!why)
		return false;
	const char *text = arena_printf(a, "%u went in, %u left%s", t->in, t->pass.left, why);
	if (t->in || t->pass.left)
		log_event(LOG_INFO, "retry.rejects", "in=%u left=%u", t->in, t->pass.left);
	return !t->request ||
	       request_finish(r->session.target, t->request, t->pass.left == 0, text, e);
}

static bool finish(struct run *r, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	bool ok = (!r->retrying.in || !r->restored || streaming_restore(r, e)) &&
		  answer(r, &scratch, e);

	arena_finish(&scratch);
	r->retrying = (struct retrying){ 0 };
	return ok;
}

/* What goes in may make room for another: while some do, the rest is tried again. */
bool retry_some(struct run *r, struct err *e)
{
	struct retrying *t = &r->retrying;

	if (!t->active || pipeline_state(r->pipeline).open)
		return true;
	if (!pipeline_retry(r->pipeline, &t->pass, e))
		return false;
	if (!t->pass.done)
		return true;
	t->in += t->pass.in;
	if (!t->pass.in || !t->pass.left)
		return finish(r, e);
	t->pass = (struct retry){ .target = t->pass.target };
	return true;
}
