#include "core/clock.h"
#include "core/log.h"
#include "pg/ledger_reject.h"
#include "service/steps.h"

#include <inttypes.h>
#include <unistd.h>

enum { WAIT_MS = 200 };

void copying_close(struct copying *c)
{
	opening_destroy(c->opening);
	copier_destroy(c->copier);
	builder_destroy(c->builder);
	generation_close(&c->generation);
	arena_finish(&c->arena);
	*c = (struct copying){ 0 };
}

static bool load_chunks(struct run *r, struct err *e)
{
	struct session *s = &r->session;

	if (r->copying.tables)
		return true;
	if (!chunks_load(s->plan, s->source, s->target, r->migration->chunk_bytes,
			 &r->copying.arena, &r->copying.tables, e))
		return false;
	unsigned left = chunks_left(s->plan, r->copying.tables);
	r->backoff.advanced |= left < r->chunks;
	r->chunks = left;
	return true;
}

enum outcome copying_open(struct run *r, const struct generation_slot *slot, struct err *e)
{
	struct copying *c = &r->copying;

	if (generation_is_open(&c->generation))
		return STEP_NEXT;
	if (!c->opening && !opening_start(&r->session.source_options, slot, &c->opening, e))
		return STEP_FAILED;
	switch (opening_wait(c->opening, WAIT_MS, &c->generation, e)) {
	case CREW_RUNNING:
		return STEP_AGAIN;
	case CREW_ENDED:
		opening_destroy(c->opening);
		c->opening = NULL;
		return STEP_NEXT;
	case CREW_FAILED:
		break;
	}
	return STEP_FAILED;
}

/* The name is this process's own: a killed run's temporary slot may still be going away. */
static enum outcome open_generation(struct run *r, struct err *e)
{
	struct copying *c = &r->copying;
	struct generation_slot slot = { .plugin = r->migration->decoder, .temporary = true };
	char lsn[LSN_TEXT];

	if (!c->opening)
		slot.name = arena_printf(&c->arena, "%.30s_g%d_%" PRId64, r->session.slot,
					 (int)getpid(), clock_ms());
	enum outcome opened = copying_open(r, &slot, e);
	if (opened == STEP_NEXT)
		log_event(LOG_INFO, "generation.open", "lsn=%s chunks_left=%u",
			  lsn_format(c->generation.lg, lsn),
			  chunks_left(r->session.plan, c->tables));
	return opened;
}

static bool start_copier(struct run *r, struct err *e)
{
	struct copy_options o = { .plan = r->session.plan,
				  .source = r->session.source_options,
				  .target = r->session.target_options,
				  .jobs = (unsigned)r->migration->jobs,
				  .max_age_ms = r->migration->snapshot_max_age,
				  .generation = &r->copying.generation,
				  .tables = r->copying.tables };

	return ledger_reject_total(r->session.target, r->migration->name, &o.rejected, e) &&
	       copier_start(&o, &r->copying.copier, e);
}

/* The generation's chunks are done, or it has grown too old for the next one. */
static void end_generation(struct run *r)
{
	copier_destroy(r->copying.copier);
	r->copying.copier = NULL;
	generation_close(&r->copying.generation);
}

/* e: why the copy failed; what fails here takes its place. */
static void start_over(struct run *r, struct err *e)
{
	struct err own = ERR_INIT;

	copier_destroy(r->copying.copier);
	r->copying.copier = NULL;
	if (!chunks_start_over(r->session.plan, r->session.target, r->copying.tables, &own))
		*e = own;
}

static enum outcome copy_chunks(struct run *r, struct err *e)
{
	enum outcome opened = r->copying.copier ? STEP_NEXT : open_generation(r, e);

	if (opened != STEP_NEXT)
		return opened;
	if (!r->copying.copier && !start_copier(r, e))
		return STEP_FAILED;
	switch (copier_wait(r->copying.copier, WAIT_MS, e)) {
	case CREW_RUNNING:
		return STEP_AGAIN;
	case CREW_ENDED:
		end_generation(r);
		return STEP_AGAIN;
	case CREW_FAILED:
		start_over(r, e);
		break;
	}
	return STEP_FAILED;
}

static enum outcome build_indexes(struct run *r, struct err *e)
{
	struct session *s = &r->session;

	struct build_options o = { s->plan, s->target_options, (unsigned)r->migration->jobs };

	end_generation(r); /* one from prepare may never have been used */
	if (!r->copying.builder) {
		if (!builder_start(&o, s->target, &r->copying.builder, e))
			return STEP_FAILED;
		log_event(LOG_INFO, "chunks.copied", "migration=%s", r->migration->name);
	}
	switch (builder_wait(r->copying.builder, WAIT_MS, e)) {
	case CREW_RUNNING:
		return STEP_AGAIN;
	case CREW_ENDED:
		copying_close(&r->copying);
		return STEP_NEXT;
	case CREW_FAILED:
		break;
	}
	return STEP_FAILED;
}

enum outcome copy_step(struct run *r, struct err *e)
{
	if (!load_chunks(r, e))
		return STEP_FAILED;
	if (r->copying.copier || chunks_left(r->session.plan, r->copying.tables))
		return copy_chunks(r, e);
	return build_indexes(r, e);
}
