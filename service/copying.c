#include "core/clock.h"
#include "core/log.h"
#include "pg/ledger_reject.h"
#include "service/steps.h"

#include <inttypes.h>
#include <unistd.h>

enum { WAIT_MS = 200 };

void copying_close(struct copying *c)
{
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

/* The name is this process's own: a killed run's temporary slot may still be going away. */
static bool open_generation(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	char lsn[LSN_TEXT];

	if (!generation_is_open(&r->copying.generation)) {
		struct generation_slot slot = { arena_printf(&r->copying.arena, "%s_g%d_%" PRId64,
							     s->slot, (int)getpid(), clock_ms()),
						s->migration->decoder, true };
		if (!generation_open(&s->source_options, &slot, &r->copying.generation, e))
			return false;
	}
	log_event(LOG_INFO, "generation.open", "lsn=%s chunks_left=%u",
		  lsn_format(r->copying.generation.lg, lsn),
		  chunks_left(s->plan, r->copying.tables));
	return true;
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

	return open_generation(r, e) &&
	       ledger_reject_total(r->session.target, r->migration->name, &o.rejected, e) &&
	       copier_start(&o, &r->copying.copier, e);
}

/* The generation's chunks are done, or it has grown too old for the next one. */
static void end_generation(struct run *r)
{
	copier_destroy(r->copying.copier);
	r->copying.copier = NULL;
	generation_close(&r->copying.generation);
}

static enum outcome copy_chunks(struct run *r, struct err *e)
{
	if (!r->copying.copier && !start_copier(r, e))
		return STEP_FAILED;
	switch (copier_wait(r->copying.copier, WAIT_MS, e)) {
	case CREW_RUNNING:
		return STEP_AGAIN;
	case CREW_ENDED:
		end_generation(r);
		return STEP_AGAIN;
	case CREW_FAILED:
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
