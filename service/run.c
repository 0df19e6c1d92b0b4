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

#include <string.h>

enum { LOCK_WAIT_MS = 10000, FIRST_BACKOFF_MS = 250, MAX_BACKOFF_MS = 15000 };

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

/* Whom the lock is waited for, as far as the ledger knows. */
static bool tell_wait(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct heartbeat *h = NULL;
	bool exists;

	if (!ledger_exists(s->target, &exists, e) ||
	    (exists && !heartbeat_load(s->target, r->migration->name, &s->arena, &h, e)))
		return false;
	log_event(LOG_INFO, "lock.wait", "migration=%s seconds=%d held_by_pid=%lld on=%s",
		  r->migration->name, LOCK_WAIT_MS / 1000, h ? (long long)h->pid : 0,
		  h ? log_quote(&s->arena, h->host) : "?");
	return true;
}

/* A killed run's backend may need a moment to go, and with it its lock. */
static bool take_lock(struct run *r, struct err *e)
{
	int64_t until = clock_ms() + LOCK_WAIT_MS;
	bool taken = false, told = false;

	while (ledger_lock(r->session.target, r->migration->name, &taken, e) && !taken) {
		if (clock_ms() > until || *r->stop)
			return err_set(
			    e, ERR_CONFIG,
			    "another pgcrossfade run holds migration %s; stop that one first",
			    r->migration->name);
		if (!told && !tell_wait(r, e))
			return false;
		told = true;
		clock_sleep_ms(200);
	}
	r->locked = taken;
	return taken;
}

static bool targets_empty(struct run *r, struct err *e)
{
	struct session *s = &r->session;

	for (unsigned i = 0; i < s->migration->nflows; i++) {
		const struct table_name *to = &s->migration->flows[i].to;
		bool empty;
		if (!ddl_is_empty(s->target, arena_qualified(&s->arena, to->schema, to->name),
				  &empty, e))
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

/* What an earlier migration of this name left at the source would be taken for ours. */
static bool source_is_free(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct slot_status slot;
	int64_t pause_us;
	bool marked;

	if (!freeze_marked(s->source, r->migration->name, &marked, &pause_us, e))
		return false;
	if (marked)
		return err_set(
		    e, ERR_CONFIG,
		    "the source still carries the switch of an earlier migration %s (table "
		    "pgcrossfade.switched); give this one another name",
		    r->migration->name);
	if (!slot_lookup(s->source, s->slot, &s->arena, &slot, e))
		return false;
	return !slot.exists ||
	       err_set(
		   e, ERR_CONFIG,
		   "the source already has replication slot %s, of another migration of that name "
		   "or one that was never aborted; give this one another name, or drop the slot",
		   s->slot);
}

static bool register_migration(struct run *r, const struct session_identity *id, struct err *e)
{
	struct ledger_migration m = { .name = r->migration->name,
				      .phase = phase_name(PH_PREPARE),
				      .digest = id->digest,
				      .source_system = id->system,
				      .source_database = id->database,
				      .source_timeline = id->timeline };

	r->registered = source_is_free(r, e) && targets_empty(r, e) &&
			ledger_create(r->session.target, e) &&
			ledger_insert(r->session.target, &m, e);
	return r->registered;
}

static bool check_identity(const struct ledger_migration *m, const struct session_identity *id,
			   struct err *e)
{
	if (strcmp(m->digest, id->digest) != 0)
		return err_set(
		    e, ERR_CONFIG,
		    "flows, decoder or search_path of migration %s, or the key of an old table, "
		    "are not those it was started with; bring them back, or abort and start "
		    "again",
		    m->name);
	if (strcmp(m->source_system, id->system) != 0 ||
	    strcmp(m->source_database, id->database) != 0)
		return err_set(
		    e, ERR_CONFIG,
		    "migration %s was started from database %s of system %s, the source is "
		    "now database %s of system %s",
		    m->name, m->source_database, m->source_system, id->database, id->system);
	return true;
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
	const char *name = r->migration->name;

	if (r->phase == PH_CUTOVER)
		return true;
	if (r->phase == PH_SWITCHED &&
	    !request_settle_done(target, name, "cutover",
				 "switched; the run was interrupted before it could say so", e))
		return false;
	if (r->phase == PH_COMPLETE &&
	    !request_settle_done(target, name, "complete", "complete", e))
		return false;
	return request_settle(target, name, false, "the run was interrupted; ask again", e);
}

/* Also before the stream begins: a copy is of no use without its slot. */
static bool check_source(struct run *r, const struct ledger_migration *m, struct err *e)
{
	struct continuity_slot slot;

	return !m || !m->slot_lsn ||
	       (session_stand(&r->session, e) && session_check_source(&r->session, &slot, e));
}

/* Nothing is created before the check has passed. */
static bool come_up(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct session_identity id;
	struct ledger_migration *m;
	bool switched = false;

	if (!session_open(r->migration, s, e) || !take_lock(r, e) ||
	    !ledger_load(s->target, r->migration->name, &s->arena, &m, e))
		return false;
	if (m && !ledger_set_error(s->target, r->migration->name, NULL, e))
		return false; /* that of the run before; this one will have its own */
	if (m && !phase_parse(m->phase, &r->phase))
		return err_set(e, ERR_CONFIG,
			       "the ledger has phase %s, which this pgcrossfade does not know",
			       m->phase);
	if (m && !is_switched(r, &switched, e))
		return false;
	if (switched)
		return settle_requests(r, e); /* old names may mean other tables by now: no plan */
	if (!compile(r, e) || !session_identity(s, &id, e) || (m && !check_identity(m, &id, e)))
		return false;
	if (!m && r->registered)
		return err_set(e, ERR_CONFIG, "migration %s was aborted meanwhile",
			       r->migration->name);
	if (!m)
		r->phase = PH_PREPARE;
	r->registered |= m != NULL;
	return (m || register_migration(r, &id, e)) && check_source(r, m, e) &&
	       settle_requests(r, e);
}

static void go_down(struct run *r)
{
	copying_close(&r->copying);
	streaming_close(r);
	session_close(&r->session);
	r->locked = false;
	r->cutting = (struct cutting){ 0 };
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
		if (!control_requests(r, &outcome, e) || !follow(r, outcome, ended, e))
			return false;
		if (*ended || outcome == STEP_NEXT)
			continue;
		if (!control_beat(r, e) || !follow(r, phases[r->phase].step(r, e), ended, e))
			return false;
	}
	return true;
}

/* Where people look for the reason a run stopped. */
static void leave_error(struct run *r, bool was_up, const struct err *e)
{
	struct err ignored = ERR_INIT;

	if (r->locked && !pg_lost(r->session.target))
		ledger_set_error(r->session.target, r->migration->name, e->text, &ignored);
	if (was_up && !hook_run(r->migration, HOOK_ERROR, r->session.target, &ignored))
		log_event(LOG_WARN, "hook.failed", "name=on_error");
}

static int64_t backoff_ms(unsigned tries)
{
	int64_t wait = FIRST_BACKOFF_MS << (tries < 7 ? tries : 7);

	return wait < MAX_BACKOFF_MS ? wait : MAX_BACKOFF_MS;
}

static void back_off(struct run *r, const struct err *e, unsigned tries)
{
	struct arena scratch = ARENA_INIT;
	int64_t until = clock_ms() + backoff_ms(tries);

	log_event(LOG_WARN, "retry", "in_ms=%lld reason=%s", (long long)(until - clock_ms()),
		  log_quote(&scratch, e->text));
	while (clock_ms() < until && !*r->stop)
		clock_sleep_ms(50);
	arena_finish(&scratch);
}

bool service_run(const struct migration *m, const volatile sig_atomic_t *stop, struct err *e)
{
	struct run r = { .migration = m, .stop = stop, .began_ms = clock_ms() };
	bool ended = false, was_up = false, ok = false;

	for (unsigned tries = 0; !*stop && !ended; tries++) {
		err_clear(e);
		bool up = come_up(&r, e);
		int64_t since = clock_ms();
		was_up = was_up || up;
		ok = up && loop(&r, &ended, e);
		if (!ok && e->kind != ERR_RETRY)
			leave_error(&r, up, e);
		go_down(&r);
		if (!ok && (e->kind != ERR_RETRY || !was_up))
			return false;
		if (up && tries && clock_ms() - since > backoff_ms(tries - 1))
			tries = 0; /* it had worked for longer than it was waited for */
		if (!ok)
			back_off(&r, e, tries);
	}
	return true;
}
