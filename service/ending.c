#include "service/ending.h"

#include "core/clock.h"
#include "core/log.h"
#include "cutover/phase.h"
#include "pg/ddl.h"
#include "pg/freeze.h"
#include "pg/publication.h"
#include "pg/quote.h"
#include "pg/slot.h"
#include "snapshot/definitions.h"
#include "snapshot/settle.h"

#include <inttypes.h>

enum { SLOT_WAIT_MS = 15000, SETTLE_PAUSE_MS = 500 };

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

/* Clients use the new tables: they wait behind a try as long as behind one of a cutover. */
static bool try_to_settle(struct session *s, struct err *e)
{
	struct err ignored = ERR_INIT;
	bool ok = pg_execf(s->target, e, "SET lock_timeout = %" PRId64,
			   s->migration->cutover.lock_timeout) &&
		  settle_foreign_keys(s->migration->name, s->target, e);

	return pg_exec(s->target, "SET lock_timeout = 0", ok ? e : &ignored) && ok;
}

static bool name_blockers(struct session *s, struct err *e)
{
	struct err asked = ERR_INIT;
	const char *who = "";

	if (!settle_blockers(s->migration->name, s->target, &s->arena, &who, &asked))
		return false;
	return err_set(e, ERR_NONE,
		       "the foreign keys of the new tables could not be made as they were at "
		       "first: no lock within %" PRId64 " ms, %" PRIu64 " times: %s; ask again",
		       s->migration->cutover.lock_timeout, s->migration->cutover.tries,
		       *who ? who : "the blocker is gone by now");
}

/* Nobody would do it after complete. */
static bool settle(struct session *s, struct err *e)
{
	uint64_t tries = s->migration->cutover.tries;

	while (!try_to_settle(s, e)) {
		if (e->kind != ERR_RETRY || pg_lost(s->target))
			return false;
		if (--tries == 0)
			return name_blockers(s, e);
		err_clear(e);
		clock_sleep_ms(SETTLE_PAUSE_MS);
	}
	return true;
}

bool ending_complete(struct session *s, bool drop_old_tables, struct err *e)
{
	const char *name = s->migration->name;
	bool ok = settle(s, e) && ending_drop_stream(s, e) &&
		  (!drop_old_tables || freeze_drop_tables(s->source, name, e)) &&
		  ledger_set_phase(s->target, name, phase_name(PH_COMPLETE), e);

	if (ok)
		log_event(LOG_INFO, "complete", "migration=%s old_tables=%s", name,
			  drop_old_tables ? "dropped" : "frozen");
	return ok || err_wrap(e, "complete");
}
