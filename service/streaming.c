#include "core/log.h"
#include "pg/slot.h"
#include "service/control.h"
#include "service/steps.h"
#include "snapshot/definitions.h"

enum { WAIT_MS = 100, WAIT_BESIDE_MS = 10 };

void streaming_close(struct run *r)
{
	pipeline_close(r->pipeline); /* first: an errand may take its time to end */
	r->pipeline = NULL;
	control_rest(r);
}

bool stream_once(struct run *r, int timeout_ms, struct err *e)
{
	if (!r->pipeline && !pipeline_open(&r->session, &r->again, &r->pipeline, e))
		return false;
	return pipeline_step(r->pipeline, timeout_ms, e);
}

bool streaming_restore(struct run *r, struct err *e)
{
	return definitions_restore(r->migration->name, r->session.plan->rejects > 0,
				   r->session.target, e);
}

/* Past the consistent point the target is one moment of the source: constraints hold. */
static bool restore_definitions(struct run *r, struct err *e)
{
	struct pipeline_state state = pipeline_state(r->pipeline);
	char lsn[LSN_TEXT];

	if (r->restored || state.open || state.position < state.consistent)
		return true;
	if (r->retrying.active)
		return true;
	if (!r->retried) { /* what was refused between two snapshots may go in now */
		r->retried = true;
		r->retrying = (struct retrying){ .active = true };
		return true;
	}
	if (!streaming_restore(r, e))
		return false;
	r->restored = true;
	log_event(LOG_INFO, "consistent", "lsn=%s", lsn_format(state.consistent, lsn));
	return true;
}

/* An errand is soon done: its answer does not wait for a change. */
static int wait_ms(const struct run *r)
{
	return r->retrying.active ? 0 : r->control.due ? WAIT_BESIDE_MS : WAIT_MS;
}

enum outcome stream_step(struct run *r, struct err *e)
{
	bool ok = stream_once(r, wait_ms(r), e) && restore_definitions(r, e) && retry_some(r, e);

	return ok ? STEP_AGAIN : STEP_FAILED;
}

bool stream_lag(struct run *r, uint64_t *bytes, struct err *e)
{
	if (!wal_insert_lsn(r->session.source, &r->source_lsn, e))
		return false;
	lsn_t applied = r->pipeline ? pipeline_state(r->pipeline).position : 0;
	*bytes = applied && r->source_lsn > applied ? r->source_lsn - applied : 0;
	return true;
}
