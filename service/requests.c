#include "service/requests.h"

#include "core/log.h"
#include "service/ending.h"
#include "service/rejected.h"

#include <string.h>

struct answer {
	bool done;
	const char *text; /* NULL: the outcome comes later */
	enum outcome outcome;
};

static const char *refusal(struct run *r, const char *what, const char *want)
{
	return arena_printf(&r->session.arena, "%s needs phase %s; the migration is in phase %s",
			    what, want, phase_name(r->phase));
}

static bool begin_cutover(struct run *r, const struct request *q, struct answer *out, struct err *e)
{
	if (r->phase != PH_STREAM) {
		out->text = refusal(r, "cutover", "stream");
		return true;
	}
	if (r->retrying.active) {
		out->text = "rejects are being tried again; ask when that is done";
		return true;
	}
	if (!rejected_check_names(r->migration, q->argument, e))
		return false;
	r->cutting = (struct cutting){ .request = q->id,
				       .accepted = arena_strdup(&r->session.arena, q->argument) };
	out->outcome = STEP_NEXT;
	return true;
}

static bool begin_retry(struct run *r, const struct request *q, struct answer *out, struct err *e)
{
	if (r->phase != PH_STREAM) {
		out->text = refusal(r, "retry", "stream");
		return true;
	}
	if (!rejected_check_names(r->migration, q->argument, e))
		return false;
	if (r->retrying.active && r->retrying.request) {
		out->text = "rejects are being tried again already; ask again";
		return true;
	}
	r->retried = r->retried && !r->retrying.active; /* the run's own comes after it */
	r->retrying = (struct retrying){ .active = true, .request = q->id };
	if (*q->argument)
		r->retrying.pass.target = arena_strdup(&r->session.arena, q->argument);
	return true;
}

static bool do_abort(struct run *r, const struct request *q, struct answer *out, struct err *e)
{
	(void)q;
	if (!phase_before_switch(r->phase)) {
		out->text = refusal(r, "abort", "prepare, copy or stream");
		return true;
	}
	copying_close(&r->copying);
	streaming_close(r);
	/* the request's row goes with the ledger's: that is the answer */
	out->outcome = STEP_END;
	return ending_abort(&r->session, e);
}

static bool begin_complete(struct run *r, const struct request *q, struct answer *out,
			   struct err *e)
{
	(void)e;
	if (r->phase != PH_SWITCHED) {
		out->text = refusal(r, "complete", "switched");
	} else if (r->complete_request) {
		out->text = "another complete is under way; ask again";
	} else {
		r->complete_request = q->id;
		r->completing = (struct completing){ .drop_old_tables = *q->argument != '\0' };
	}
	return true;
}

static const struct {
	const char *kind;
	bool (*act)(struct run *, const struct request *, struct answer *, struct err *);
} kinds[] = {
	{ "cutover", begin_cutover },
	{ "retry", begin_retry },
	{ "abort", do_abort },
	{ "complete", begin_complete },
};

static bool act(struct run *r, const struct request *q, struct answer *out, struct err *e)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].kind, q->kind) == 0)
			return kinds[i].act(r, q, out, e);
	out->text = "this pgcrossfade does not know such a request";
	return true;
}

bool requests_answer(struct run *r, const struct request *q, enum outcome *out, struct err *e)
{
	struct answer a = { false, NULL, STEP_AGAIN };

	log_event(LOG_INFO, "request", "kind=%s id=%lld", q->kind, (long long)q->id);
	if (!act(r, q, &a, e)) {
		if (e->kind == ERR_RETRY)
			return false;
		a = (struct answer){ false, arena_strdup(&r->session.arena, e->text), STEP_AGAIN };
		err_clear(e); /* who asked hears it; the run goes on as before */
	}
	*out = a.outcome;
	return !a.text || request_finish(r->session.target, q->id, a.done, a.text, e);
}
