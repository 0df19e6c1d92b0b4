#include "cli/command.h"

#include "cli/interrupt.h"
#include "core/clock.h"
#include "cutover/phase.h"
#include "pg/ledger_reject.h"
#include "pg/request.h"
#include "service/ending.h"
#include "service/rejected.h"
#include "service/session.h"
#include "service/status.h"

#include <inttypes.h>
#include <stdio.h>

enum { POLL_MS = 50, RECALL_MS = 15000 };

struct asking {
	struct session session;
	const char *kind, *argument;
	int64_t id;
	int64_t until_ms; /* -1: no limit */
	const volatile sig_atomic_t *interrupted;
	bool recalled; /* the run knows that the answer is not waited for */
};

/* With an abort the ledger goes, request and all: that is its answer. */
static bool load_request(struct asking *q, struct arena *scratch, struct request **out,
			 struct err *e)
{
	bool exists;

	*out = NULL;
	if (!ledger_exists(q->session.target, &exists, e))
		return false;
	if (!exists || request_load(q->session.target, q->id, scratch, out, e))
		return true;
	if (strcmp(e->sqlstate, "42P01") != 0) /* it went between the two questions */
		return false;
	err_clear(e);
	return true;
}

/* True: it has ended, well or with *e set. */
static bool read_answer(struct asking *q, struct arena *scratch, bool *done, struct err *e)
{
	struct request *r;

	if (!load_request(q, scratch, &r, e))
		return true;
	*done = !r || strcmp(r->state, "done") == 0;
	if (r && strcmp(r->state, "failed") == 0)
		err_set(e, ERR_NONE, "%s: %s", q->kind, r->message);
	else if (r && *done && *r->message)
		puts(r->message);
	return *done || *e->text;
}

static bool unknown(const char *migration, struct err *e)
{
	return err_set(e, ERR_CONFIG, "the target's ledger does not know migration %s", migration);
}

/* --- without a run --- */

/* Of a migration that is complete. */
static bool say_complete(struct asking *q, struct err *e)
{
	const char *said;
	bool whole;

	if (!ending_said(&q->session, &said, &whole, e))
		return false;
	if (!whole)
		return err_set(e, ERR_NONE, "%s", said);
	puts(said);
	return true;
}

static bool complete_alone(struct asking *q, struct err *e)
{
	struct completing c = { .drop_old_tables = *q->argument != '\0' };
	bool done = false;

	while (!*q->interrupted) {
		if (!ending_complete(&q->session, &c, &done, e))
			return false;
		if (done)
			return say_complete(q, e);
		clock_sleep_ms(POLL_MS);
	}
	return err_set(e, ERR_RETRY, "interrupted after %u tries; the migration is not complete",
		       c.tries);
}

static bool alone(struct asking *q, const struct ledger_migration *m, struct err *e)
{
	enum phase phase;

	if (!phase_parse(m->phase, &phase))
		return err_set(e, ERR_CONFIG, "unknown phase %s in the ledger", m->phase);
	if (strcmp(q->kind, "abort") == 0) {
		if (!phase_before_switch(phase))
			return err_set(
			    e, ERR_NONE,
			    "abort needs phase prepare, copy or stream; the migration is in "
			    "phase %s%s",
			    m->phase, phase == PH_CUTOVER ? ": start run to settle it" : "");
		return ending_abort(&q->session, e);
	}
	if (strcmp(q->kind, "complete") == 0) {
		if (q->id && phase == PH_COMPLETE)
			return say_complete(q, e) || err_wrap(e, "complete");
		if (phase != PH_SWITCHED)
			return err_set(
			    e, ERR_NONE,
			    "complete needs phase switched; the migration is in phase %s",
			    m->phase);
		return complete_alone(q, e) || err_wrap(e, "complete");
	}
	if (q->id && phase == PH_SWITCHED) {
		puts("switched; the run ended before it could say so");
		return true;
	}
	if (phase >= PH_SWITCHED)
		return err_set(e, ERR_NONE, "%s needs phase stream; the migration is in phase %s",
			       q->kind, m->phase);
	if (phase == PH_CUTOVER && !m->error)
		return err_set(e, ERR_NONE,
			       "%s: the run ended in the middle of it; start it again, it settles "
			       "whether the switch was made",
			       q->kind);
	if (m->error)
		return err_set(e, ERR_NONE, "%s: the run stopped in phase %s: %s", q->kind,
			       m->phase, m->error);
	return err_set(e, ERR_NONE, "%s: no run is serving migration %s; start pgcrossfade run",
		       q->kind, m->name);
}

/* *taken: no run holds the migration, and none can as long as this process does. */
static bool take_over(struct asking *q, bool *taken, struct err *e)
{
	struct session *s = &q->session;
	bool running;

	*taken = false;
	return status_running(s->target, s->migration->name, &running, e) &&
	       (running || ledger_lock(s->target, s->migration->name, taken, e));
}

static bool act(struct asking *q, struct err *e)
{
	struct session *s = &q->session;
	struct ledger_migration *m;

	if (!ledger_load(s->target, s->migration->name, &s->arena, &m, e))
		return false;
	return m ? alone(q, m, e) : unknown(s->migration->name, e);
}

/* --- by the run --- */

/* True: nobody will do it any more. */
static bool withdraw(struct asking *q)
{
	struct err ignored = ERR_INIT;
	bool withdrawn = false;

	request_withdraw(q->session.target, q->id, &withdrawn, &ignored);
	if (!withdrawn)
		request_recall(q->session.target, q->id, &ignored);
	return withdrawn;
}

/*
 * Time is up, or Ctrl-C. A request that the run has taken is called back, and its answer
 * awaited a little longer: a try that is under way may still succeed. True: it is over.
 */
static bool give_up(struct asking *q, struct err *e)
{
	const char *why = *q->interrupted ? "interrupted" : "no answer in time";

	if (q->recalled)
		return err_set(e, ERR_RETRY,
			       "%s: %s; the request is called back, but is being worked on and "
			       "may still succeed; see status",
			       q->kind, why),
		       true;
	if (withdraw(q))
		return err_set(e, ERR_RETRY, "%s: %s; the request is withdrawn", q->kind, why),
		       true;
	q->recalled = true;
	q->until_ms = clock_ms() + RECALL_MS;
	return false;
}

static bool time_is_up(const struct asking *q)
{
	return (*q->interrupted && !q->recalled) || (q->until_ms >= 0 && clock_ms() > q->until_ms);
}

/*
 * The run that was to answer may end first; what it left undone is then done here. It may
 * also have answered just before it ended: with the lock taken that answer is the last.
 */
static bool stand_in(struct asking *q, struct arena *scratch, bool *done, struct err *e)
{
	struct err ignored = ERR_INIT;
	bool taken, withdrawn;

	if (!take_over(q, &taken, e) || !taken)
		return *e->text;
	if (read_answer(q, scratch, done, e))
		return true;
	*done = act(q, e);
	request_withdraw(q->session.target, q->id, &withdrawn, &ignored);
	return true;
}

/* The connection is gone, the request is not. */
static void tell_unheard(const struct asking *q, struct err *e)
{
	if (e->kind == ERR_RETRY && pg_lost(q->session.target))
		err_wrap(e,
			 "%s: the answer was not heard; the request stands and may still be "
			 "done, see status",
			 q->kind);
}

static int await(struct asking *q)
{
	struct arena scratch = ARENA_INIT;
	struct err e = ERR_INIT;
	bool done = false, ended = false;

	while (!ended) {
		ended = read_answer(q, &scratch, &done, &e) || stand_in(q, &scratch, &done, &e);
		ended = ended || (time_is_up(q) && give_up(q, &e));
		if (!ended)
			clock_sleep_ms(POLL_MS);
		arena_reset(&scratch);
	}
	arena_finish(&scratch);
	if (done)
		return EXIT_DONE;
	if (q->recalled && !*q->interrupted && e.kind == ERR_NONE)
		e.kind = ERR_RETRY; /* time is up, whatever the answer says of the work till then */
	tell_unheard(q, &e);
	return report_error(&e);
}

static int ask_or_act(struct asking *q)
{
	struct session *s = &q->session;
	struct ledger_migration *m;
	struct err e = ERR_INIT;
	bool taken;

	if (!ledger_load(s->target, s->migration->name, &s->arena, &m, &e))
		return report_error(&e);
	if (!m) {
		unknown(s->migration->name, &e);
		return report_error(&e);
	}
	if (!take_over(q, &taken, &e))
		return report_error(&e);
	if (taken)
		return act(q, &e) ? EXIT_DONE : report_error(&e);
	if (!request_post(s->target, m->name, q->kind, q->argument, &q->id, &e))
		return report_error(&e);
	return await(q);
}

static int request(const struct migration *m, const struct arguments *a, const char *kind,
		   const char *argument)
{
	struct asking q = { .kind = kind, .argument = argument, .interrupted = interrupt_catch() };
	struct err e = ERR_INIT;

	q.until_ms = a->timeout_ms < 0 ? -1 : clock_ms() + a->timeout_ms;
	if (!session_open(m, &q.session, &e))
		return report_error(&e);
	int code = ask_or_act(&q);
	session_close(&q.session);
	return code;
}

int cutover_command(const struct migration *m, const struct arguments *a)
{
	return request(m, a, "cutover", a->accept_rejects ? a->accept_rejects : "");
}

static void print_reject(const struct reject_line *l)
{
	printf("%s -> %s %s: %s %s\n    %s; since %s, %" PRIu64 " %s%s\n", l->source, l->target,
	       l->key, l->sqlstate, l->error, l->place, l->rejected_at, l->tries,
	       l->tries == 1 ? "try" : "tries",
	       l->held ? "; the target holds an older version" : "");
}

static bool is_known(struct pg *target, const char *migration, struct arena *a, struct err *e)
{
	struct ledger_migration *m;

	return ledger_load(target, migration, a, &m, e) && (m || unknown(migration, e));
}

static int list_rejects(const struct migration *m, const char *flow)
{
	struct pg_options target = { m->target, "pgcrossfade retry", NULL, false };
	struct arena arena = ARENA_INIT;
	struct reject_line *lines;
	struct err e = ERR_INIT;
	struct pg *pg = NULL;
	unsigned count = 0;
	bool ok = (!flow || rejected_check_names(m, flow, &e)) &&
		  (pg_open(&target, &pg, &e) || err_wrap(&e, "connect to the target")) &&
		  is_known(pg, m->name, &arena, &e) &&
		  ledger_reject_lines(pg, m->name, flow, &arena, &lines, &count, &e);

	for (unsigned i = 0; i < count; i++)
		print_reject(&lines[i]);
	if (ok)
		printf("%u reject%s\n", count, count == 1 ? "" : "s");
	pg_close(pg);
	arena_finish(&arena);
	return ok ? EXIT_DONE : report_error(&e);
}

int retry_command(const struct migration *m, const struct arguments *a)
{
	if (a->list)
		return list_rejects(m, a->flow);
	return request(m, a, "retry", a->flow ? a->flow : "");
}

int complete_command(const struct migration *m, const struct arguments *a)
{
	return request(m, a, "complete", a->drop_old_tables ? "drop-old-tables" : "");
}

int abort_command(const struct migration *m, const struct arguments *a)
{
	return request(m, a, "abort", "");
}
