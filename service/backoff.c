#include "core/clock.h"
#include "core/log.h"
#include "pg/heartbeat.h"
#include "service/steps.h"

#include <unistd.h>

enum { FIRST_BACKOFF_MS = 250, MAX_BACKOFF_MS = 15000, BEAT_MS = 1000 };
enum { FIRST_FOR_LOCK_MS = 500, MAX_FOR_LOCK_MS = 10000 };
enum { MOST_DOUBLINGS = 16 };

static int64_t doubled(int64_t first_ms, int64_t most_ms, unsigned tries)
{
	int64_t wait = first_ms << (tries < MOST_DOUBLINGS ? tries : MOST_DOUBLINGS);

	return wait < most_ms ? wait : most_ms;
}

static int64_t backoff_ms(unsigned tries)
{
	return doubled(FIRST_BACKOFF_MS, MAX_BACKOFF_MS, tries);
}

int64_t backoff_for_lock(unsigned tries)
{
	return doubled(FIRST_FOR_LOCK_MS, MAX_FOR_LOCK_MS, tries);
}

/* Best effort: where the ledger cannot be written, status finds its server gone, or the log has it. */
static void tell(struct run *r, const struct err *why, int64_t until_ms)
{
	struct session *s = &r->session;
	struct err ignored = ERR_INIT;
	int64_t now = clock_ms();
	struct heartbeat h = { .host = r->host,
			       .pid = getpid(),
			       .up_seconds = (double)(now - r->began_ms) / 1000 };
	struct heartbeat_trouble t = { .error = why->text,
				       .since_seconds = (double)(now - r->backoff.since_ms) / 1000,
				       .tries = r->backoff.tries,
				       .next_seconds = (double)(until_ms - now) / 1000 };

	if (!s->target || pg_lost(s->target))
		return;
	r->backoff.told |=
	    heartbeat_write_trouble(s->target, r->migration->name, &h, &t, r->locked, &ignored);
}

void back_off(struct run *r, const struct err *why)
{
	struct arena scratch = ARENA_INIT;
	struct err reason = *why;
	int64_t now = clock_ms(), until = now + backoff_ms(r->backoff.tries), next_tell = now;

	if (!r->backoff.tries++)
		r->backoff.since_ms = now;
	err_one_line(&reason);
	log_event(LOG_WARN, "retry", "in_ms=%lld tries=%u reason=%s", (long long)(until - now),
		  r->backoff.tries, log_quote(&scratch, reason.text));
	for (; now < until && !*r->stop; now = clock_ms()) {
		if (now >= next_tell) {
			tell(r, &reason, until);
			next_tell = now + BEAT_MS;
		}
		clock_sleep_ms(50);
	}
	arena_finish(&scratch);
}

void backoff_was_up(struct run *r, int64_t ms)
{
	struct backoff *b = &r->backoff;

	if (b->advanced || (b->worked && b->tries && ms > backoff_ms(b->tries - 1)))
		b->tries = 0;
	b->worked = b->advanced = false;
}

bool backoff_end(struct run *r, struct err *e)
{
	r->backoff.worked = true;
	if (!r->backoff.told)
		return true;
	r->backoff.told = false;
	return heartbeat_end_trouble(r->session.target, r->migration->name, e);
}
