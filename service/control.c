#include "service/control.h"

#include "core/clock.h"
#include "core/log.h"
#include "cutover/hooks.h"
#include "pg/slot.h"
#include "service/requests.h"
#include "service/unchanged.h"

#include <unistd.h>

enum { BEAT_MS = 1000, POLL_MS = 200 };

/* --- a beat: the source is looked at, and the ledger told --- */

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

static struct heartbeat sign_of_life(struct run *r, const struct pipeline_state *state)
{
	return (struct heartbeat){ .host = r->host,
				   .pid = getpid(),
				   .activity = activity(r),
				   .applied = state->position,
				   .lag_seconds = state->lag_seconds,
				   .queued_bytes = state->queued_bytes,
				   .up_seconds = (double)(clock_ms() - r->began_ms) / 1000 };
}

/* The state is what it was before the source is asked, so that no later position is vouched for. */
static bool beat_due(struct run *r)
{
	struct beat *b = &r->control.beat;

	if (clock_ms() < r->control.next_beat_ms)
		return false;
	r->control.next_beat_ms = clock_ms() + BEAT_MS;
	*b = (struct beat){ .at_us = clock_us(), .streams = r->pipeline != NULL };
	b->reads = r->phase == PH_COPY || r->phase == PH_STREAM;
	if (b->streams)
		b->state = pipeline_state(r->pipeline);
	b->sign = sign_of_life(r, &b->state);
	return true;
}

static bool look_at_source(struct session *own, struct beat *b, struct err *e)
{
	struct continuity_slot slot;
	bool told; /* if not, the next beat asks again */

	if (b->reads && !unchanged(own, &told, e))
		return false;
	if ((b->reads || b->streams) && !session_check_source(own, &slot, e))
		return false;
	return (!b->streams || pipeline_served(&b->state, &slot, own->slot, e)) &&
	       wal_insert_lsn(own->source, &b->sign.source, e);
}

static void take_sample(struct meter *meter, struct beat *b)
{
	struct meter_sample s = { b->at_us, b->state.effort, b->state.queued_bytes, 0 };

	if (b->state.received && b->sign.source > b->state.received)
		s.unsent_bytes = b->sign.source - b->state.received;
	meter_add(meter, &s);
	b->sign.change_rate = meter_rate(meter);
	b->sign.bottleneck = meter_bottleneck(meter);
}

static bool make_beat(struct session *own, void *arg, struct err *e)
{
	struct control *c = arg;

	if (!look_at_source(own, &c->beat, e))
		return false;
	take_sample(&c->meter, &c->beat);
	return heartbeat_write(own->target, own->migration->name, &c->beat.sign, e);
}

/* All that was in the source's WAL at the beat before this one is applied. */
static void tell_lag_zero(struct run *r, lsn_t source_before, lsn_t position)
{
	struct err e = ERR_INIT;

	if (r->lag_zero_told || r->phase != PH_STREAM || !r->restored || !source_before ||
	    position < source_before)
		return;
	r->lag_zero_told = true;
	if (!hook_run(r->migration, HOOK_LAG_ZERO, r->session.target, &e))
		log_event(LOG_WARN, "hook.failed", "error=%s",
			  log_quote(&r->session.arena, e.text));
}

static bool beat_made(struct run *r, enum outcome *out, struct err *e)
{
	const struct beat *b = &r->control.beat;
	lsn_t position = b->state.position, source_before = r->source_lsn;

	(void)out, (void)e;
	r->source_lsn = b->sign.source;
	r->backoff.advanced |= r->reached && position > r->reached;
	r->reached = position > r->reached ? position : r->reached;
	if (r->pipeline)
		pipeline_recorded(r->pipeline, position);
	tell_lag_zero(r, source_before, position);
	return true;
}

/* --- requests --- */

static bool request_due(struct run *r)
{
	struct control *c = &r->control;

	if (clock_ms() < c->next_poll_ms || r->phase == PH_CUTOVER)
		return false;
	c->next_poll_ms = clock_ms() + POLL_MS;
	arena_reset(&c->arena);
	c->request = NULL;
	return true;
}

static bool take_request(struct session *own, void *arg, struct err *e)
{
	struct control *c = arg;

	return request_take(own->target, own->migration->name, &c->arena, &c->request, e);
}

static bool request_taken(struct run *r, enum outcome *out, struct err *e)
{
	return !r->control.request || requests_answer(r, r->control.request, out, e);
}

/* --- what is on disk at the target --- */

static bool look_due(struct run *r)
{
	return r->pipeline && pipeline_wants_look(r->pipeline);
}

static bool look_at_disk(struct session *own, void *arg, struct err *e)
{
	return flush_look(own->target, &((struct control *)arg)->flush, e);
}

static bool disk_looked_at(struct run *r, enum outcome *out, struct err *e)
{
	(void)out;
	return !r->pipeline || pipeline_looked(r->pipeline, &r->control.flush, e);
}

/* --- when --- */

/* From due to done the thread may have r->control, and the run leaves it alone. */
static const struct duty {
	bool (*due)(struct run *r); /* it is, and is prepared */
	errand *go;
	bool (*done)(struct run *r, enum outcome *out, struct err *e);
} duties[] = {
	{ request_due, take_request, request_taken },
	{ beat_due, make_beat, beat_made },
	{ look_due, look_at_disk, disk_looked_at },
};

enum { DUTIES = sizeof duties / sizeof *duties };

static bool is_in(unsigned due, unsigned i)
{
	return due & 1u << i;
}

static bool run_due(struct session *own, void *arg, struct err *e)
{
	unsigned due = ((const struct control *)arg)->due;

	for (unsigned i = 0; i < DUTIES; i++)
		if (is_in(due, i) && !duties[i].go(own, arg, e))
			return false;
	return true;
}

static bool finish_due(struct run *r, enum outcome *out, struct err *e)
{
	unsigned due = r->control.due;

	r->control.due = 0;
	for (unsigned i = 0; i < DUTIES && *out == STEP_AGAIN; i++)
		if (is_in(due, i) && !duties[i].done(r, out, e))
			return false;
	return true;
}

void control_rest(struct run *r)
{
	errands_close(r->control.errands);
	r->control.errands = NULL;
	r->control.due = 0;
}

/* Beside the stream; in other phases a moment's wait does no harm. */
static bool choose_hands(struct run *r, struct err *e)
{
	bool beside = r->phase == PH_STREAM && r->pipeline;

	if (beside == (r->control.errands != NULL))
		return true;
	if (beside)
		return errands_open(&r->session, &r->control.errands, e);
	control_rest(r);
	return true;
}

/* The session's own connections, the lock's among them, may not be used for long. */
static bool session_alive(struct run *r, struct err *e)
{
	return pg_alive(r->session.source, e) && pg_alive(r->session.target, e);
}

static bool take_back(struct run *r, enum outcome *out, struct err *e)
{
	enum errand_state state = errands_back(r->control.errands, e);

	return state != ERRAND_FAILED && session_alive(r, e) &&
	       (state == ERRAND_OUT || finish_due(r, out, e));
}

bool control_turn(struct run *r, enum outcome *out, struct err *e)
{
	struct control *c = &r->control;

	*out = STEP_AGAIN;
	if (!choose_hands(r, e))
		return false;
	if (c->due)
		return take_back(r, out, e);
	for (unsigned i = 0; i < DUTIES; i++)
		c->due |= (unsigned)duties[i].due(r) << i;
	if (!c->due)
		return true;
	if (!c->errands)
		return run_due(&r->session, c, e) && finish_due(r, out, e);
	errands_send(c->errands, &r->session, run_due, c);
	return true;
}
