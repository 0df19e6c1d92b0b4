#include "service/run.h"

#include "core/clock.h"
#include "core/log.h"
#include "cutover/hooks.h"
#include "pg/ddl.h"
#include "pg/freeze.h"
#include "pg/heartbeat.h"
#include "pg/quote.h"
#include "pg/slot.h"
#include "service/control.h"
#include "service/steps.h"
#include "service/unchanged.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 10000 };

static enum outcome complete_step(struct run *r, struct err *e)
{
	(void)r;
	(void)e;
	return STEP_END;
}

static const struct phase_def {
	enum outcome (*step)(struct run *, struct err *);
	enum phase next, back;
} phases[PH_COUNT] = {
	[PH_PREPARE] = { prepare_step, PH_COPY, PH_PREPARE },
	[PH_COPY] = { copy_step, PH_STREAM, PH_COPY },
	[PH_STREAM] = { stream_step, PH_CUTOVER, PH_STREAM },
	[PH_CUTOVER] = { cutover_step, PH_SWITCHED, PH_STREAM },
	[PH_SWITCHED] = { switched_step, PH_COMPLETE, PH_SWITCHED },
	[PH_COMPLETE] = { complete_step, PH_COMPLETE, PH_COMPLETE },
};

/* The only place that assigns r->phase, after the ledger has it. */
static bool run_advance(struct run *r, enum phase to, struct err *e)
{
	if (!ledger_set_phase(r->session.target, r->migration->name, phase_name(to), e))
		return false;
	log_event(LOG_INFO, "phase", "from=%s to=%s", phase_name(r->phase), phase_name(to));
	r->phase = to;
	return true;
}

/* --- coming up --- */

/* Who holds the migration, as far as the ledger and the server know. */
struct holder {
	struct heartbeat *last; /* sign of life; NULL: none */
	int backend;            /* at the target; 0: it is gone meanwhile */
};

static bool find_holder(struct run *r, struct holder *out, struct err *e)
{
	struct session *s = &r->session;
	const char *name = r->migration->name;
	struct err other = ERR_INIT;
	struct ledger_run *runs;
	unsigned count;
	bool exists;

	*out = (struct holder){ NULL, 0 };
	if (!ledger_exists(s->target, &exists, e) ||
	    !ledger_runs(s->target, name, &s->arena, &runs, &count, e))
		return false;
	/* one of another version belongs to the holder, who is at work on it */
	if (exists && ledger_check_version(s->target, &other) &&
	    !heartbeat_load(s->target, name, &s->arena, &out->last, e))
		return false;
	out->backend = count && runs[0].holds ? runs[0].pid : 0;
	return true;
}

/* A connection that was lost on the way can outlive itself at the server. */
static bool is_own(const struct run *r, const struct holder *h)
{
	return r->was_up && h->last && h->last->pid == getpid() &&
	       strcmp(h->last->host, r->host) == 0;
}

/* Once, before the wait begins. */
static bool tell_wait(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct holder h;

	if (!find_holder(r, &h, e))
		return false;
	if (is_own(r, &h))
		return err_set(
		    e, ERR_RETRY,
		    "migration %s is still held by a lost connection of this run's own, backend "
		    "%d at the target; it goes when that server notices, or with SELECT "
		    "pg_terminate_backend(%d)",
		    r->migration->name, h.backend, h.backend);
	log_event(LOG_INFO, "lock.wait",
		  "migration=%s seconds=%d held_by_pid=%lld on=%s backend=%d", r->migration->name,
		  LOCK_WAIT_MS / 1000, h.last ? (long long)h.last->pid : 0,
		  h.last ? log_quote(&s->arena, h.last->host) : "?", h.backend);
	return ledger_lock_wait(s->target, r->migration->name, true, e);
}

static bool held(struct run *r, struct err *e)
{
	const char *who = "no sign of life yet";
	struct holder h;

	if (!find_holder(r, &h, e))
		return false;
	if (h.last)
		who = arena_printf(&r->session.arena,
				   "pid %lld on %s, last sign of life %.0f s ago",
				   (long long)h.last->pid, h.last->host, h.last->age_seconds);
	return err_set(
	    e, ERR_CONFIG,
	    "another pgcrossfade run holds migration %s (%s); stop that one first, or, if "
	    "its process is gone, end what is left of it at the target: SELECT "
	    "pg_terminate_backend(%d)",
	    r->migration->name, who, h.backend);
}

/* A killed run's backend may need a moment to go, and with it its lock. */
static bool take_lock(struct run *r, struct err *e)
{
	struct pg *target = r->session.target;
	const char *name = r->migration->name;
	int64_t until = clock_ms() + LOCK_WAIT_MS;
	bool told = false;

	if (r->locked)
		return true; /* this connection has it since before the last try */
	while (ledger_lock(target, name, &r->locked, e) && !r->locked) {
		if (clock_ms() > until || *r->stop)
			return held(r, e);
		if (!told && !tell_wait(r, e))
			return false;
		told = true;
		clock_sleep_ms(200);
	}
	return r->locked && (!told || ledger_lock_wait(target, name, false, e));
}

static bool targets_empty(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	const char **targets = session_targets(s);

	for (unsigned i = 0; i < s->migration->nflows; i++) {
		const struct table_name *to = &s->migration->flows[i].to;
		bool empty;
		if (!ddl_is_empty(s->target, targets[i], &empty, e))
			return false;
		if (!empty)
			return err_set(
			    e, ERR_CONFIG,
			    "target table %s.%s is not empty; a migration starts with empty "
			    "targets, so empty it or name another table",
			    to->schema, to->name);
	}
	return true;
}

static bool register_migration(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	const char *name = r->migration->name;
	struct session_identity id;

	if (!migration_is_new(s->source, name, &s->arena, e) || !targets_empty(r, e) ||
	    !session_identity(s, &id, e))
		return false;
	struct ledger_migration m = { .name = name,
				      .phase = phase_name(PH_PREPARE),
				      .digest = id.digest,
				      .source_system = id.system,
				      .source_database = id.database,
				      .source_timeline = id.timeline };

	r->registered = ledger_create(s->target, e) && ledger_insert(s->target, &m, e);
	return r->registered;
}

static bool log_findings(const struct findings *f, struct arena *a)
{
	for (const struct finding *i = f->first; i; i = i->next)
		if (i->level == FINDING_FAIL)
			log_event(LOG_ERROR, "check.failed", "subject=%s text=%s",
				  log_quote(a, i->subject), log_quote(a, finding_text(a, i)));
	return false;
}

static bool compile(struct run *r, struct err *e)
{
	struct findings findings = FINDINGS_INIT(findings);

	if (session_compile(&r->session, &findings, e))
		return true;
	return log_findings(&findings, &r->session.arena);
}

/* The ledger may not know yet: a run can die right after the switch's commit. */
static bool is_switched(struct run *r, bool *switched, struct err *e)
{
	int64_t pause_us;

	*switched = r->phase >= PH_SWITCHED;
	return r->phase != PH_CUTOVER ||
	       freeze_marked(r->session.source, r->migration->name, switched, &pause_us, e);
}

/* What a run that was cut off had begun to answer. A cutover answers for itself. */
static bool settle_requests(struct run *r, struct err *e)
{
	struct pg *target = r->session.target;
	const char *name = r->migration->name, *said;
	bool whole, told = true;

	if (r->phase == PH_CUTOVER)
		return true;
	if (r->phase == PH_SWITCHED && !request_settled(target, name, "cutover", &told, e))
		return false;
	if (!told &&
	    !cutover_tell(r, "switched; the run was interrupted before it could say so", e))
		return false;
	if (r->phase == PH_COMPLETE && !(ending_said(&r->session, &said, &whole, e) &&
					 request_settle(target, name, "complete", whole, said, e)))
		return false;
	return request_settle(target, name, NULL, false, "the run was interrupted; ask again", e);
}

/* Also before the stream begins: a copy is of no use without its slot. */
static bool check_source(struct run *r, const struct ledger_migration *m, struct err *e)
{
	struct continuity_slot slot;

	return !m || !m->slot_lsn ||
	       (session_stand(&r->session, e) && session_check_source(&r->session, &slot, e));
}

/* Its lock has gone with it. */
static void drop_lost_target(struct run *r)
{
	struct session *s = &r->session;

	if (s->target && pg_lost(s->target)) {
		pg_close(s->target);
		s->target = NULL;
	}
	r->locked = r->locked && s->target;
}

/* The ledger comes first: what goes wrong from there on can be read in it. */
static bool take_up(struct run *r, struct ledger_migration **m, struct err *e)
{
	struct session *s = &r->session;
	const char *name = r->migration->name;

	drop_lost_target(r); /* while the run waited */
	if (!session_open_target(s, e) || !take_lock(r, e) || !ledger_upgrade(s->target, e) ||
	    !ledger_load(s->target, name, &s->arena, m, e))
		return false;
	/* that of the run before; this one will have its own */
	if (*m && (!ledger_set_error(s->target, name, NULL, e) ||
		   (!r->backoff.tries && !heartbeat_end_trouble(s->target, name, e))))
		return false;
	return session_open_source(s, e);
}

/* m NULL, or of an earlier version: the ledger learns what the migration reads and fills. */
static bool settle_tables(struct run *r, const struct ledger_migration *m, struct err *e)
{
	struct session *s = &r->session;
	const struct migration *file = r->migration;

	return ((m && m->targets_known) ||
		ledger_set_targets(s->target, file->name, session_targets(s), file->nflows, e)) &&
	       unchanged_columns(s, e);
}

static void tell_complete(struct run *r, const struct ledger_migration *m)
{
	struct arena *a = &r->session.arena;

	log_event(LOG_WARN, "already.complete", "migration=%s since=%s text=%s", m->name,
		  log_quote(a, m->phase_since),
		  log_quote(a, "nothing is left to run; a new migration takes another name, or "
			       "this one's is freed by clearing the ledger"));
}

/* Nothing is created before the check has passed. */
static bool come_up(struct run *r, struct err *e)
{
	struct ledger_migration *m = NULL;
	bool switched = false;

	if (!take_up(r, &m, e))
		return false;
	if (m && !phase_parse(m->phase, &r->phase))
		return err_set(e, ERR_CONFIG,
			       "the ledger has phase %s, which this pgcrossfade does not know",
			       m->phase);
	if (m && !is_switched(r, &switched, e))
		return false;
	if (m && r->phase == PH_COMPLETE)
		tell_complete(r, m);
	if (switched)
		return settle_requests(r, e); /* old names may mean other tables by now: no plan */
	if (!compile(r, e))
		return false;
	if (!m && r->registered)
		return err_set(e, ERR_CONFIG, "migration %s was aborted meanwhile",
			       r->migration->name);
	if (!m)
		r->phase = PH_PREPARE;
	r->registered |= m != NULL;
	return (m || register_migration(r, e)) && settle_tables(r, m, e) && check_source(r, m, e) &&
	       settle_requests(r, e);
}

/* The connection with the lock outlives a failed try, so that the run shows as alive. */
static void keep_target(struct run *r)
{
	if (r->session.target)
		pg_rollback(r->session.target);
	session_keep_target(&r->session);
	drop_lost_target(r);
}

static void go_down(struct run *r)
{
	copying_close(&r->copying);
	streaming_close(r);
	keep_target(r);
	r->cutting = (struct cutting){ 0 };
	r->complete_request = 0;
	r->retrying = (struct retrying){ 0 };
	r->retried = r->restored;
	r->source_lsn = 0;
}

/* --- the loop --- */

static bool follow(struct run *r, enum outcome outcome, bool *ended, struct err *e)
{
	switch (outcome) {
	case STEP_AGAIN:
		return true;
	case STEP_NEXT:
		return run_advance(r, phases[r->phase].next, e);
	case STEP_BACK:
		return run_advance(r, phases[r->phase].back, e);
	case STEP_END:
		*ended = true;
		return true;
	case STEP_FAILED:
		break;
	}
	return false;
}

static bool loop(struct run *r, bool *ended, struct err *e)
{
	enum outcome outcome;

	while (!*ended && !*r->stop) {
		if (!control_turn(r, &outcome, e) || !follow(r, outcome, ended, e))
			return false;
		if (*ended || outcome == STEP_NEXT)
			continue;
		if (!follow(r, phases[r->phase].step(r, e), ended, e) || !backoff_end(r, e))
			return false;
	}
	return true;
}

/* Where people look for the reason a run stopped. */
static void leave_error(struct run *r, bool up, const struct err *e)
{
	struct err reason = *e, ignored = ERR_INIT, hook = ERR_INIT;

	err_one_line(&reason);
	if (r->locked && !pg_lost(r->session.target)) {
		pg_rollback(r->session.target);
		ledger_set_error(r->session.target, r->migration->name, reason.text, &ignored);
		backoff_end(r, &ignored);
	}
	if (up && !hook_run(r->migration, HOOK_ERROR, r->session.target, &hook))
		log_event(LOG_WARN, "hook.failed", "error=%s",
			  log_quote(&r->session.arena, hook.text));
}

/* From one connection to the next. *ended: nothing is left to do. */
static bool serve(struct run *r, bool *ended, struct err *e)
{
	struct err ignored = ERR_INIT;
	bool up = come_up(r, e);
	int64_t since = clock_ms();

	r->was_up |= up;
	bool ok = up && loop(r, ended, e);
	backoff_was_up(r, clock_ms() - since);
	if (ok)
		backoff_end(r, &ignored);
	else if (e->kind != ERR_RETRY || !r->was_up)
		leave_error(r, up, e);
	return ok;
}

/* Before the next try; not at all where nothing is wrong. */
static void wait_to_retry(struct run *r, const struct err *why)
{
	bool again = r->again.wanted;

	r->again.wanted = false;
	if (again)
		log_event(LOG_INFO, "stream.again", "reason=%s",
			  log_quote(&r->session.arena, why->text));
	else
		back_off(r, why);
}

bool service_run(const struct migration *m, const volatile sig_atomic_t *stop, struct err *e)
{
	struct run r = { .migration = m, .stop = stop, .began_ms = clock_ms() };
	bool ended = false, ok = true;

	gethostname(r.host, sizeof r.host - 1);
	session_name(m, &r.session);
	while (!*stop && !ended && ok) {
		err_clear(e);
		ok = serve(&r, &ended, e);
		go_down(&r);
		if (!ok && e->kind == ERR_RETRY && r.was_up) {
			r.fault = *e;
			err_one_line(&r.fault);
			wait_to_retry(&r, e);
			ok = true;
		}
	}
	arena_finish(&r.control.arena);
	again_finish(&r.again);
	session_close(&r.session);
	return ok;
}
