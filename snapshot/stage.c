#include "snapshot/stage.h"

#include "core/log.h"
#include "pg/copy.h"
#include "pg/predicate.h"
#include "snapshot/reading.h"

enum { MAX_TRIES = 10 }; /* of a lookup that met a deadlock or the like */

/* In one database: the snapshot holds for this transaction only. */
static bool fill_inside(const struct stage *s, const char *sql, struct err *e)
{
	bool ok = reading_begin(s->target, "", s->snapshot, e) &&
		  reading_table(s->target, s->table, s->rewritten, e) &&
		  pg_exec(s->target, sql, e) && pg_commit(s->target, e);

	if (!ok)
		pg_rollback(s->target);
	return ok;
}

static bool fill_across(const struct stage *s, const char *sql, uint64_t *bytes, struct err *e)
{
	struct copy_count count = { 0, 0 };
	bool ok = pg_copy_rows(s->source, sql, s->target, s->table->stage.in, s->stop, &count, e);

	*bytes += count.bytes;
	return ok;
}

bool stage_fill(const struct stage *s, uint64_t *bytes, struct err *e)
{
	const struct stage_plan *p = &s->table->stage;
	struct buf sql = BUF_INIT;

	buf_puts(&sql, p->fill[0]);
	chunk_predicate(s->table, s->chunk->lo, s->chunk->hi, &sql);
	buf_puts(&sql, p->fill[1]);
	bool ok =
	    pg_exec(s->target, p->create, e) && pg_exec(s->target, p->clear, e) &&
	    (p->in ? fill_across(s, buf_str(&sql), bytes, e) : fill_inside(s, buf_str(&sql), e));
	buf_free(&sql);
	return ok || err_wrap(e, "stage chunk %u of %s", s->chunk->no, s->table->label);
}

static void log_again(const char *target, unsigned tries)
{
	struct arena scratch = ARENA_INIT;

	log_event(LOG_INFO, "copy.lookup_again", "target=%s try=%u", log_name(&scratch, target),
		  tries);
	arena_finish(&scratch);
}

static bool look_up(const struct stage *s, const struct flow_plan *f, struct err *e)
{
	for (unsigned tries = 1;; tries++) {
		if (pg_exec(s->target, f->stage_insert, e))
			return true;
		if (e->kind != ERR_RETRY || pg_lost(s->target) || tries == MAX_TRIES)
			return err_wrap(e, "lookup rows of chunk %u of %s into %s", s->chunk->no,
					s->table->label, f->target_name);
		log_again(f->target_name, tries);
		err_clear(e);
	}
}

bool stage_lookups(const struct stage *s, struct err *e)
{
	for (unsigned rank = 0; rank <= s->plan->max_rank; rank++)
		for (unsigned i = 0; i < s->table->nflows; i++) {
			const struct flow_plan *f = &s->table->flows[i];
			if (f->lookup && f->rank == rank && !look_up(s, f, e))
				return false;
		}
	return true;
}
