#include "pg/progress.h"
#include "pg/publication.h"
#include "pg/slot.h"
#include "service/partitions.h"
#include "service/steps.h"
#include "snapshot/definitions.h"

static bool publish(struct session *s, struct err *e)
{
	return publication_set(s->source, &s->published[0], e) &&
	       publication_set(s->source, &s->published[1], e);
}

/* --- the main slot --- */

/* A slot that the ledger does not know of was made by a run that died right after. */
static bool drop_leftover(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct slot_status status;

	if (!slot_lookup(s->source, s->slot, &s->arena, &status, e))
		return false;
	return !status.exists || slot_drop(s->source, s->slot, 15000, e);
}

static enum outcome make_slot(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	const struct generation_slot slot = { s->slot, s->migration->decoder, false };
	enum outcome made = copying_open(r, &slot, e);

	if (made == STEP_NEXT &&
	    !ledger_set_slot_lsn(s->target, s->migration->name, r->copying.generation.lg, e))
		return STEP_FAILED;
	return made;
}

static bool ensure_progress(struct session *s, struct err *e)
{
	const struct progress p = { .migration = s->migration->name,
				    .direction = "forward",
				    .system = s->continuity.system,
				    .slot = s->slot };

	return progress_ensure(s->target, &p, e);
}

/* What comes before the slot. */
static bool publish_all(struct run *r, const struct ledger_migration *m, struct err *e)
{
	return (m->slot_lsn || partitions_record(&r->session, e)) && publish(&r->session, e) &&
	       (m->slot_lsn || drop_leftover(r, e));
}

enum outcome prepare_step(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct ledger_migration *m = NULL;
	enum outcome made = STEP_NEXT;

	if (!r->copying.opening && (!ledger_load(s->target, s->migration->name, &s->arena, &m, e) ||
				    !publish_all(r, m, e)))
		return STEP_FAILED;
	if (!m || !m->slot_lsn)
		made = make_slot(r, e);
	if (made != STEP_NEXT)
		return made;
	bool ok = session_stand(s, e) && ensure_progress(s, e) &&
		  definitions_put_away(s->plan, s->target, e);
	return ok ? STEP_NEXT : STEP_FAILED;
}
