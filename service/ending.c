#include "service/ending.h"

#include "core/clock.h"
#include "core/log.h"
#include "cutover/phase.h"
#include "pg/ddl.h"
#include "pg/freeze.h"
#include "pg/publication.h"
#include "pg/quote.h"
#include "pg/slot.h"
#include "service/steps.h"
#include "snapshot/definitions.h"
#include "snapshot/settle.h"

#include <inttypes.h>
#include <string.h>

enum { SLOT_WAIT_MS = 15000 };

bool ending_drop_stream(struct session *s, struct err *e)
{
	return slot_drop(s->source, s->slot, SLOT_WAIT_MS, e) &&
	       publication_drop(s->source, s->publication, e) &&
	       publication_drop(s->source, s->insert_publication, e);
}

/* Of the ledger: the file may have other flows by now, whose tables are not ours. */
static bool find_targets(struct session *s, const char ***out, unsigned *count, struct err *e)
{
	const struct migration *m = s->migration;
	bool known;

	if (!ledger_targets(s->target, m->name, &s->arena, &known, out, count, e))
		return false;
	if (known)
		return true;
	*out = session_targets(s);
	*count = m->nflows;
	return true;
}

/* The stream's foreign keys are deferrable: in any order, as long as all are empty at last. */
static bool begin_empty(struct session *s, struct err *e)
{
	const char **targets;
	unsigned count;
	bool ok = find_targets(s, &targets, &count, e) && pg_begin(s->target, e) &&
		  pg_exec(s->target, "SET CONSTRAINTS ALL DEFERRED", e);

	for (unsigned i = 0; ok && i < count; i++)
		ok = ddl_truncate(s->target, targets[i], e);
	/* a deferrable one of a table outside would be looked at only when the slot is gone */
	return ok && pg_exec(s->target, "SET CONSTRAINTS ALL IMMEDIATE", e);
}

/* Empty tables without a stream, or neither: what may be refused is not begun before it is known. */
static bool drop_all(struct session *s, struct err *e)
{
	bool ok = begin_empty(s, e) && ending_drop_stream(s, e) && pg_commit(s->target, e);

	if (!ok)
		pg_rollback(s->target);
	return ok;
}

/* Targets hold our rows only once the ledger knows the migration: they were empty then. */
bool ending_abort(struct session *s, struct err *e)
{
	const char *name = s->migration->name;
	bool ok = drop_all(s, e) && definitions_restore(name, false, s->target, e) &&
		  settle_foreign_keys(name, s->target, e) && freeze_remove(s->source, name, e) &&
		  ledger_forget(s->target, name, e);

	if (ok)
		log_event(LOG_INFO, "aborted", "migration=%s", name);
	return ok || err_wrap(e, "abort");
}

/* --- complete --- */

static bool settle(struct session *s, struct completing *c, struct err *e)
{
	(void)c;
	return settle_foreign_keys(s->migration->name, s->target, e);
}

static bool who_keeps_keys(struct session *s, const char **out, struct err *e)
{
	return settle_blockers(s->migration->name, s->target, &s->arena, out, e);
}

static bool drop_stream(struct session *s, struct completing *c, struct err *e)
{
	(void)c;
	return ending_drop_stream(s, e);
}

static bool drop_tables(struct session *s, struct completing *c, struct err *e)
{
	return !c->drop_old_tables || freeze_drop_tables(s->source, s->migration->name, e);
}

static bool who_keeps_tables(struct session *s, const char **out, struct err *e)
{
	return freeze_blockers(s->source, s->migration->name, &s->arena, out, e);
}

static const struct stage {
	bool (*go)(struct session *, struct completing *, struct err *);
	bool (*blockers)(struct session *, const char **out, struct err *); /* NULL: not known */
	const char *undone;
} stages[] = {
	{ settle, who_keeps_keys,
	  "the foreign keys of the new tables could not be made as they were at first" },
	{ drop_stream, NULL, "slot and publications could not be dropped" },
	{ drop_tables, who_keeps_tables, "the old tables could not be dropped" },
};

enum { STAGES = sizeof stages / sizeof *stages };

static bool limit_waits(struct session *s, int64_t ms, struct err *e)
{
	return pg_execf(s->source, e, "SET lock_timeout = %" PRId64, ms) &&
	       pg_execf(s->target, e, "SET lock_timeout = %" PRId64, ms);
}

/* Clients wait behind a try as long as behind one of a cutover. */
static bool try_stages(struct session *s, struct completing *c, struct err *e)
{
	struct err ignored = ERR_INIT;
	bool ok = limit_waits(s, s->migration->cutover.lock_timeout, e);

	while (ok && c->stage < STAGES) {
		ok = stages[c->stage].go(s, c, e);
		c->stage += ok;
	}
	return limit_waits(s, 0, ok ? e : &ignored) && ok;
}

static bool give_up(struct session *s, const struct completing *c, struct err *e)
{
	const struct stage *stage = &stages[c->stage];
	const char *ending = c->tries == 1 ? "y" : "ies";
	struct err why = *e, ignored = ERR_INIT;
	const char *who = "";

	if (strcmp(why.sqlstate, "55P03") != 0)
		return err_set(e, ERR_NONE, "%s in %u tr%s: %s; ask again", stage->undone, c->tries,
			       ending, why.text);
	if (stage->blockers)
		stage->blockers(s, &who, &ignored);
	return err_set(e, ERR_NONE,
		       "%s in %u tr%s, each without a lock within %" PRId64 " ms: %s; ask again",
		       stage->undone, c->tries, ending, s->migration->cutover.lock_timeout,
		       *who ? who : "whoever held it cannot be told any more");
}

/* Is there another try, or was that the last one? */
static bool put_off(struct session *s, struct completing *c, struct err *e)
{
	if (e->kind != ERR_RETRY || pg_lost(s->source) || pg_lost(s->target))
		return false;
	log_event(LOG_WARN, "complete.try", "try=%u of=%" PRIu64 " reason=%s", ++c->tries,
		  s->migration->cutover.tries, log_quote(&s->arena, e->text));
	if (c->tries >= s->migration->cutover.tries)
		return give_up(s, c, e);
	c->next_try_ms = clock_ms() + backoff_for_lock(c->tries);
	err_clear(e);
	return true;
}

bool ending_complete(struct session *s, struct completing *c, bool *done, struct err *e)
{
	const char *name = s->migration->name;

	*done = false;
	if (clock_ms() < c->next_try_ms)
		return true;
	if (!try_stages(s, c, e))
		return put_off(s, c, e);
	if (!ledger_set_phase(s->target, name, phase_name(PH_COMPLETE), e))
		return false;
	log_event(LOG_INFO, "complete", "migration=%s old_tables=%s", name,
		  c->drop_old_tables ? "dropped" : "frozen");
	*done = true;
	return true;
}

bool ending_said(struct session *s, const char **said, bool *whole, struct err *e)
{
	const char *left;

	if (!settle_left(s->migration->name, s->target, &s->arena, &left, e))
		return false;
	*whole = !*left;
	*said = *whole ? "complete"
		       : arena_printf(&s->arena,
				      "the migration is complete, but not all foreign keys are as "
				      "at first: %s",
				      left);
	return true;
}
