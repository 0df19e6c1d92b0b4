#include "core/clock.h"
#include "service/ending.h"
#include "service/steps.h"
#include "snapshot/settle.h"

enum { WAIT_MS = 50 };

/*
 * Clients use the new tables already: a lock on them must not make them wait long, nor often while
 * somebody reads one.
 */
static bool settle_definitions(struct run *r, struct err *e)
{
	struct pg *target = r->session.target;

	if (r->settled || clock_ms() < r->settle_at_ms)
		return true;
	r->settle_at_ms = clock_ms() + backoff_for_lock(r->settle_tries++);
	bool ok = pg_exec(target, "SET lock_timeout = '200ms'", e) &&
		  settle_foreign_keys(r->migration->name, target, e);
	r->settled = ok;
	bool later = !ok && e->kind == ERR_RETRY && !pg_lost(target);

	if (later)
		err_clear(e);
	return (ok || later) && pg_exec(target, "SET lock_timeout = 0", e);
}

/* --- complete, which was asked for --- */

static bool answer(struct run *r, bool done, const char *text, struct err *e)
{
	int64_t request = r->complete_request;

	r->complete_request = 0;
	return request_finish(r->session.target, request, done, text, e);
}

/* Between two tries whoever asked may have thought better of it. */
static bool check_wanted(struct run *r, struct err *e)
{
	bool wanted;

	if (!request_wanted(r->session.target, r->complete_request, &wanted, e))
		return false;
	return wanted ||
	       err_set(e, ERR_NONE, "withdrawn after %u tries; the migration is not complete",
		       r->completing.tries);
}

/* Who asked hears it; the run goes on as before. */
static enum outcome refuse(struct run *r, struct err *e)
{
	struct err why = *e;

	if (why.kind == ERR_RETRY)
		return STEP_FAILED;
	err_clear(e);
	return answer(r, false, why.text, e) ? STEP_AGAIN : STEP_FAILED;
}

static enum outcome complete_some(struct run *r, struct err *e)
{
	const char *said;
	bool done, whole;

	if (!check_wanted(r, e) || !ending_complete(&r->session, &r->completing, &done, e))
		return refuse(r, e);
	if (!done)
		return STEP_AGAIN;
	return ending_said(&r->session, &said, &whole, e) && answer(r, whole, said, e)
		   ? STEP_END
		   : STEP_FAILED;
}

/* The slot would only hold WAL back: there is nothing left to follow. */
enum outcome switched_step(struct run *r, struct err *e)
{
	if (!r->stream_dropped && !ending_drop_stream(&r->session, e))
		return STEP_FAILED;
	r->stream_dropped = true;
	clock_sleep_ms(WAIT_MS);
	if (r->complete_request)
		return complete_some(r, e);
	return settle_definitions(r, e) ? STEP_AGAIN : STEP_FAILED;
}
