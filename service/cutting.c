#include "core/clock.h"
#include "core/log.h"
#include "cutover/hooks.h"
#include "cutover/switch.h"
#include "pg/freeze.h"
#include "service/rejected.h"
#include "service/steps.h"
#include "service/unchanged.h"

#include <inttypes.h>
#include <stdio.h>

enum { WAIT_MS = 50 };

/* --- before the point of no return --- */

/* Back to stream: writers go on, and whoever asked hears why. */
static enum outcome give_up(struct run *r, struct err *e)
{
	log_event(LOG_WARN, "cutover.given_up", "tries=%u reason=%s", r->cutting.tries,
		  log_quote(&r->session.arena, e->text));
	bool ok = request_settle(r->session.target, r->migration->name, NULL, false, e->text, e);
	r->cutting = (struct cutting){ 0 };
	return ok ? STEP_BACK : STEP_FAILED;
}

/*
 * A lock at the target that is not to be had now is a reason to give up, not to start over.
 * In one database the SQL may count on what the switch itself does before it.
 */
static bool rehearse(struct run *r, struct err *e)
{
	if (r->session.plan->one_database || switch_rehearse(r->migration, r->session.target, e))
		return true;
	if (e->kind == ERR_RETRY && !pg_lost(r->session.target))
		e->kind = ERR_CONFIG;
	return false;
}

/* *ready false: the stream has to take over from a drain first, which a lock would hold up. */
static bool check_gate(struct run *r, bool *ready, struct err *e)
{
	uint64_t lag;
	bool told; /* if not, it is asked again under the lock */

	*ready = !pipeline_state(r->pipeline).drains;

	if (!r->restored)
		return err_set(e, ERR_CONFIG,
			       "the stream has not reached the consistent point yet");
	if (!unchanged(&r->session, &told, e) ||
	    !freeze_no_other(r->session.source, r->session.plan, e) || !stream_lag(r, &lag, e))
		return false;
	if (lag > r->migration->cutover.max_lag)
		return err_set(e, ERR_CONFIG,
			       "the lag is %" PRIu64 " bytes, over cutover.max_lag (%" PRIu64 ")",
			       lag, r->migration->cutover.max_lag);
	if (!*ready)
		return true;
	if (!streaming_restore(r, e) ||
	    !rejected_gate(r->session.target, r->migration->name, r->cutting.accepted, e) ||
	    !rehearse(r, e))
		return false;
	return hook_run(r->migration, HOOK_BEFORE_CUTOVER, r->session.target, e);
}

/* What could still change before the lock cannot any more. */
static bool same_tables_under_lock(struct session *s, struct err *e)
{
	bool told;

	if (!unchanged(s, &told, e))
		return false;
	return told || err_set(e, ERR_RETRY,
			       "whether a new partition came empty could not be asked: somebody "
			       "waits for a lock on it");
}

static bool drain(void *context, lsn_t lsn, int64_t deadline_ms, struct err *e)
{
	struct run *r = context;

	if (!same_tables_under_lock(&r->session, e))
		return false;
	while (pipeline_state(r->pipeline).position < lsn) {
		if (clock_ms() > deadline_ms)
			return err_set(e, ERR_RETRY,
				       "the drain took longer than cutover.max_pause (%" PRId64
				       " ms)",
				       r->migration->cutover.max_pause);
		if (!stream_once(r, 10, e) || !pipeline_flush(r->pipeline, e))
			return false;
	}
	/* what came last may have been refused; and the connection that holds the migration is there */
	return rejected_gate(r->session.target, r->migration->name, r->cutting.accepted, e);
}

/* Between two tries whoever asked may have thought better of it. */
static bool check_wanted(struct run *r, struct err *e)
{
	bool wanted;

	if (!request_wanted(r->session.target, r->cutting.request, &wanted, e))
		return false;
	return wanted || err_set(e, ERR_CONFIG, "withdrawn after %u tries; nothing changed%s%s",
				 r->cutting.tries, *r->cutting.why.text ? "; the last one: " : "",
				 r->cutting.why.text);
}

static void schedule_next_try(struct run *r, const struct err *e)
{
	r->cutting.why = *e;
	err_one_line(&r->cutting.why);

	log_event(LOG_WARN, "cutover.try", "try=%u of=%" PRIu64 " reason=%s", r->cutting.tries,
		  r->migration->cutover.tries, log_quote(&r->session.arena, e->text));
	r->cutting.next_try_ms = clock_ms() + backoff_for_lock(r->cutting.tries);
}

/* --- past it --- */

/* The ledger learns of the switch together with what the target does for it. */
static bool enter_switched(struct run *r, int64_t pause_us, struct err *e)
{
	struct pg *target = r->session.target;
	const char *name = r->migration->name;
	bool ok = pg_begin(target, e) && switch_target_sql(r->migration, target, e) &&
		  ledger_set_write_pause(target, name, pause_us, e) &&
		  ledger_set_phase(target, name, phase_name(PH_SWITCHED), e) &&
		  pg_commit(target, e);

	if (!ok)
		pg_rollback(target);
	return ok;
}

/* The answer comes last: a run that finds none has the hook run again. */
bool cutover_tell(struct run *r, const char *text, struct err *e)
{
	struct err hook = ERR_INIT;

	if (!hook_run(r->migration, HOOK_AFTER_CUTOVER, r->session.target, &hook))
		log_event(LOG_WARN, "hook.failed", "error=%s",
			  log_quote(&r->session.arena, hook.text));
	return request_settle(r->session.target, r->migration->name, "cutover", true, text, e);
}

static enum outcome finish(struct run *r, int64_t pause_us, struct err *e)
{
	char text[96];

	snprintf(text, sizeof text, "switched; writes paused for %.1f ms", (double)pause_us / 1000);
	if (!enter_switched(r, pause_us, e))
		return STEP_FAILED;
	rejected_log(r->session.target, r->migration->name);
	log_event(LOG_INFO, "cutover.switched", "write_pause_us=%" PRId64, pause_us);
	streaming_close(r); /* the old tables are frozen: nothing more can come */
	return cutover_tell(r, text, e) ? STEP_NEXT : STEP_FAILED;
}

/* --- the step --- */

static bool try_switch(struct run *r, int64_t *pause_us, struct err *e)
{
	struct switcher s = { .migration = r->migration,
			      .plan = r->session.plan,
			      .source = r->session.source_options,
			      .control = r->session.source,
			      .target = r->session.target,
			      .drain = drain,
			      .context = r };

	r->cutting.tries++;
	return switch_try(&s, pause_us, e);
}

/* A failed try: was it committed after all, is there another, or is that it? */
static enum outcome after_failure(struct run *r, struct err *e)
{
	struct err asked = ERR_INIT;
	int64_t pause_us = 0;
	bool marked;

	if (!freeze_marked(r->session.source, r->migration->name, &marked, &pause_us, &asked)) {
		*e = asked;
		return STEP_FAILED;
	}
	if (marked)
		return finish(r, pause_us, e);
	if (pg_lost(r->session.source) || pg_lost(r->session.target) || !r->pipeline ||
	    (pipeline_failed(r->pipeline) && e->kind == ERR_RETRY))
		return STEP_FAILED;
	if (pipeline_failed(r->pipeline)) /* the stream will meet it again, and stop there */
		streaming_close(r);
	if (e->kind != ERR_RETRY || r->cutting.tries >= r->migration->cutover.tries)
		return give_up(r, e);
	schedule_next_try(r, e);
	return STEP_AGAIN;
}

/* A run that died in this phase left the answer at the source. */
static enum outcome settle_after_restart(struct run *r, struct err *e)
{
	int64_t pause_us = 0;
	bool marked;

	if (!freeze_marked(r->session.source, r->migration->name, &marked, &pause_us, e))
		return STEP_FAILED;
	if (marked)
		return finish(r, pause_us, e);
	if (r->fault.kind == ERR_NONE)
		err_set(e, ERR_RETRY, "run was restarted before the switch; nothing changed");
	else
		err_set(e, ERR_RETRY, "run was interrupted before the switch; nothing changed: %s",
			r->fault.text);
	return give_up(r, e);
}

enum outcome cutover_step(struct run *r, struct err *e)
{
	int64_t pause_us;

	if (!r->cutting.request)
		return settle_after_restart(r, e);
	if (!stream_once(r, r->cutting.gated ? WAIT_MS : 0, e))
		return STEP_FAILED;
	if (!check_wanted(r, e) || (!r->cutting.gated && !check_gate(r, &r->cutting.gated, e)))
		return e->kind == ERR_RETRY ? STEP_FAILED : give_up(r, e);
	if (!r->cutting.gated || clock_ms() < r->cutting.next_try_ms)
		return STEP_AGAIN;
	if (try_switch(r, &pause_us, e))
		return finish(r, pause_us, e);
	return after_failure(r, e);
}
