#include "service/control.h"

#include "core/clock.h"
#include "core/log.h"
#include "cutover/hooks.h"
#include "pg/heartbeat.h"
#include "service/ending.h"
#include "service/partitions.h"
#include "service/rejected.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BEAT_MS = 1000, POLL_MS = 200 };

/* --- signs of life --- */

static const char *activity(struct run *r)
{
	switch (r->phase) {
	case PH_COPY:
		return r->copying.builder  ? "building indexes"
		       : r->copying.copier ? "copying"
					   : "opening a snapshot";
	case PH_STREAM:
		return r->restored ? "streaming" : "streaming to the consistent point";
	default:
		return phase_name(r->phase);
	}
}

/* All that was in the source's WAL at the beat before this one is applied. */
static void tell_lag_zero(struct run *r, lsn_t source_before, const struct pipeline_state *now)
{
	struct err e = ERR_INIT;

	if (r->lag_zero_told || r->phase != PH_STREAM || !r->restored || !source_before ||
	    now->position < source_before)
		return;
	r->lag_zero_told = true;
	if (!hook_run(r->migration, HOOK_LAG_ZERO, r->session.target, &e))
		log_event(LOG_WARN, "hook.failed", "error=%s",
			  log_quote(&r->session.arena, e.text));
}

static void take_sample(struct run *r, const struct pipeline_state *now)
{
	struct meter_sample s = { clock_us(), now->effort, now->queued_bytes, 0 };

	if (now->received && r->source_lsn > now->received)
		s.unsent_bytes = r->source_lsn - now->received;
	meter_add(&r->meter, &s);
}

/* state is what it was before the source was asked, so that no later position is vouched for. */
static bool check_source(struct run *r, struct pipeline_state *state, struct err *e)
{
	struct continuity_slot slot;
	bool reads = r->phase == PH_COPY || r->phase == PH_STREAM;

	if (reads && !(session_same_publications(&r->session, e) &&
		       session_same_tables(&r->session, e) && partitions_check(&r->session, e)))
		return false;
	if (r->pipeline)
		return pipeline_check(r->pipeline, state, e);
	return !reads || session_check_source(&r->session, &slot, e);
}

bool control_beat(struct run *r, struct err *e)
{
	struct pipeline_state state = { 0 };
	lsn_t source_before = r->source_lsn;
	uint64_t lag;

	if (clock_ms() < r->next_beat_ms)
		return true;
	r->next_beat_ms = clock_ms() + BEAT_MS;
	if (!check_source(r, &state, e) || !stream_lag(r, &lag, e))
		return false;
	take_sample(r, &state);
	r->backoff.advanced |= r->reached && state.position > r->reached;
	r->reached = state.position > r->reached ? state.position : r->reached;
	struct heartbeat h = { .host = r->host,
			       .pid = getpid(),
			       .activity = activity(r),
			       .applied = state.position,
			       .source = r->source_lsn,
			       .lag_seconds = state.lag_seconds,
			       .queued_bytes = state.queued_bytes,
			       .change_rate = meter_rate(&r->meter),
			       .bottleneck = meter_bottleneck(&r->meter),
			       .up_seconds = (double)(clock_ms() - r->began_ms) / 1000 };
	if (!heartbeat_write(r->session.target, r->migration->name, &h, e))
		return false;
	if (r->pipeline)
		pipeline_recorded(r->pipeline, state.position);
	tell_lag_zero(r, source_before, &state);
	return true;
}

/* --- requests --- */

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
	if (!rejected_check_names(r->session.plan, q->argument, e))
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
	if (!rejected_check_names(r->session.plan, q->argument, e))
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

static bool do_complete(struct run *r, const struct request *q, struct answer *out, struct err *e)
{
	if (r->phase != PH_SWITCHED) {
		out->text = refusal(r, "complete", "switched");
		return true;
	}
	if (!ending_complete(&r->session, strcmp(q->argument, "drop-old-tables") == 0, e))
		return false;
	*out = (struct answer){ true, "complete", STEP_END };
	return true;
}

static const struct {
	const char *kind;
	bool (*act)(struct run *, const struct request *, struct answer *, struct err *);
} kinds[] = {
	{ "cutover", begin_cutover },
	{ "retry", begin_retry },
	{ "abort", do_abort },
	{ "complete", do_complete },
};

static bool act(struct run *r, const struct request *q, struct answer *out, struct err *e)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].kind, q->kind) == 0)
			return kinds[i].act(r, q, out, e);
	out->text = "this pgcrossfade does not know such a request";
	return true;
}

static bool answer(struct run *r, const struct request *q, enum outcome *out, struct err *e)
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

bool control_requests(struct run *r, enum outcome *out, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct request *q = NULL;
	bool ok = true;

	*out = STEP_AGAIN;
	if (clock_ms() < r->next_poll_ms || r->phase == PH_CUTOVER)
		return true;
	r->next_poll_ms = clock_ms() + POLL_MS;
	ok = request_take(r->session.target, r->migration->name, &scratch, &q, e) &&
	     (!q || answer(r, q, out, e));
	arena_finish(&scratch);
	return ok;
}
