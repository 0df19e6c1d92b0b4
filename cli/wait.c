#include "cli/command.h"

#include "core/clock.h"
#include "cutover/phase.h"
#include "service/session.h"
#include "service/status.h"

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 100, GRACE_MS = 3000 };

enum reached { NOT_YET, REACHED, NEVER };

struct waiting {
	struct session session;
	bool lag_zero;
	enum phase phase; /* unless lag_zero */
	int64_t since_ms;
	char first_error
	    [64]; /* when the error of the first look happened; "": none, or a run was up */
	bool looked;
	bool known;    /* the ledger had the migration */
	lsn_t barrier; /* lag_zero: everything before it must be applied; 0: not yet written */
};

/* What is committed before the wait began ends before this position. */
static bool set_barrier(struct waiting *w, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(w->session.source,
			       "SELECT pg_logical_emit_message(true, 'pgcrossfade', 'wait')", 0,
			       NULL, &r, e);

	w->barrier = ok ? pg_lsn(r, 0, 0) : 0;
	pg_result_free(r);
	return ok || err_wrap(e, "mark the source's position");
}

/* In phase stream no later snapshot can follow: what is asked for is fixed then. */
static bool lag_is_zero(struct waiting *w, const struct status *s, struct err *e)
{
	if (!w->barrier && !set_barrier(w, e))
		return false;
	return s->applied >= w->barrier;
}

/* A run clears the error of the one before when it takes the migration up. */
static const char *standing_error(const struct status *s)
{
	return s->migration->error && !s->running ? s->migration->error_at : "";
}

/*
 * A run that stopped on a fault will not get there. One that stopped while we wait is told at
 * once; one that had stopped before may be coming back: nothing shows that until it has
 * connected, so it gets a moment.
 */
static void judge_error(struct waiting *w, const struct status *s, struct err *e)
{
	const char *at = standing_error(s);

	if (!w->looked)
		snprintf(w->first_error, sizeof w->first_error, "%s", at);
	w->looked = true;
	if (!*at)
		return;
	if (strcmp(at, w->first_error) != 0)
		err_set(e, ERR_NONE, "the run stopped: %s", s->migration->error);
	else if (clock_ms() - w->since_ms > GRACE_MS)
		err_set(e, ERR_NONE, "the run stopped at %s, and none has come up since: %s", at,
			s->migration->error);
}

static enum reached judge(struct waiting *w, const struct status *s, struct err *e)
{
	enum phase now;

	if (!phase_parse(s->migration->phase, &now))
		return NOT_YET;
	if (!w->lag_zero && now == w->phase)
		return REACHED;
	if (w->lag_zero && now == PH_STREAM && lag_is_zero(w, s, e))
		return REACHED;
	if (now > (w->lag_zero ? PH_CUTOVER : w->phase))
		err_set(e, ERR_NONE, "the migration is past that: phase %s", s->migration->phase);
	else
		judge_error(w, s, e);
	return *e->text ? NEVER : NOT_YET;
}

/* A ledger that the run has yet to make, or to bring up to date, is no bad outcome. */
static bool look(struct waiting *w, enum reached *out, struct err *e)
{
	const char *name = w->session.migration->name;
	struct arena scratch = ARENA_INIT;
	struct status *s = NULL;
	bool older;

	*out = NOT_YET;
	if (!ledger_older(w->session.target, &older, e))
		return false;
	bool ok = older || status_load(w->session.target, name, &scratch, &s, e);
	if (ok && s) {
		w->known = true;
		*out = judge(w, s, e);
	} else if (ok && w->known) {
		err_set(e, ERR_NONE, "migration %s is gone from the ledger: it was aborted", name);
		*out = NEVER;
	}
	arena_finish(&scratch);
	return ok;
}

static int wait_until(struct waiting *w, const struct arguments *a)
{
	struct err e = ERR_INIT;
	enum reached got;

	for (;;) {
		if (!look(w, &got, &e) || got == NEVER)
			return report_error(&e);
		if (got == REACHED)
			return EXIT_DONE;
		if (a->timeout_ms >= 0 && clock_ms() - w->since_ms >= a->timeout_ms) {
			err_set(&e, ERR_RETRY, "not %s within %.1f s", a->goal,
				(double)a->timeout_ms / 1000);
			return report_error(&e);
		}
		clock_sleep_ms(POLL_MS);
	}
}

int wait_command(const struct migration *m, const struct arguments *a)
{
	struct waiting w = { .lag_zero = strcmp(a->goal, "lag-zero") == 0, .since_ms = clock_ms() };
	struct err e = ERR_INIT;

	if (!w.lag_zero && !phase_parse(a->goal, &w.phase)) {
		err_set(&e, ERR_CONFIG, "--for: want lag-zero or a phase, got '%s'", a->goal);
		return report_error(&e);
	}
	if (!session_open(m, &w.session, &e))
		return report_error(&e);
	int code = wait_until(&w, a);
	session_close(&w.session);
	return code;
}
