#include "service/outlook.h"

#include "core/buf.h"
#include "core/clock.h"
#include "pg/copy.h"
#include "pg/predicate.h"
#include "service/outlook_steps.h"

#include <string.h>

enum { WAL_SAMPLE_MS = 1000 };

/* Nothing is written from here on, whatever is asked. */
static bool read_only(struct pg *pg, struct err *e)
{
	return pg_exec(pg, "SET default_transaction_read_only = on", e);
}

static bool load_phase(struct session *s, struct outlook *o, struct err *e)
{
	struct ledger_migration *m;

	if (!ledger_load(s->target, s->migration->name, &s->arena, &m, e))
		return false;
	o->known_phase = m ? m->phase : NULL;
	return true;
}

static bool cut_tables(struct session *s, struct outlook *o, struct err *e)
{
	const struct plan *p = s->plan;

	o->cuts = arena_array(&s->arena, p->ntables, sizeof *o->cuts);
	for (unsigned i = 0; i < p->ntables; i++) {
		if (!chunks_cut(&p->tables[i], s->source, s->migration->chunk_bytes, &s->arena,
				&o->cuts[i], e))
			return false;
		o->bytes += o->cuts[i].bytes;
		o->chunks += o->cuts[i].count + 1;
	}
	return true;
}

static bool look_at_sequences(struct session *s, struct outlook *o, struct err *e)
{
	const struct plan *p = s->plan;

	o->sequences = arena_array(&s->arena, p->nsequences, sizeof *o->sequences);
	for (unsigned i = 0; i < p->nsequences; i++)
		if (!sequence_next(s->source, s->target, &p->sequences[i],
				   s->migration->cutover.sequence_headroom, &o->sequences[i], e))
			return false;
	return true;
}

/* --- how long --- */

static bool wal_position(struct session *s, lsn_t *out, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(s->source, "SELECT pg_current_wal_insert_lsn()", 0, NULL, &r, e);

	*out = ok ? pg_lsn(r, 0, 0) : 0;
	pg_result_free(r);
	return ok || err_wrap(e, "ask for the source's position");
}

static bool measure_wal(struct session *s, struct outlook *o, struct err *e)
{
	int64_t since = clock_us();
	lsn_t before, after;

	if (!wal_position(s, &before, e))
		return false;
	clock_sleep_ms(WAL_SAMPLE_MS);
	if (!wal_position(s, &after, e))
		return false;
	o->wal_rate = (double)(after - before) / ((double)(clock_us() - since) / 1e6);
	return true;
}

/* The middle one: the first and the last are open-ended. */
static void chunk_bounds(const struct table_cut *cut, const char *const **lo,
			 const char *const **hi)
{
	unsigned no = (cut->count + 1) / 2;

	*lo = no > 0 ? (const char *const *)cut->bounds[no - 1] : NULL;
	*hi = no < cut->count ? (const char *const *)cut->bounds[no] : NULL;
}

/* COPY of what lies between the parts of a SELECT. */
static bool read_rows(struct session *s, const struct table_plan *t, const struct table_cut *cut,
		      const char *const parts[2], struct err *e)
{
	const char *const *lo, *const *hi;
	struct copy_count count;
	struct buf sql = BUF_INIT;

	chunk_bounds(cut, &lo, &hi);
	buf_puts(&sql, parts[0]);
	chunk_predicate(t, lo, hi, &sql);
	buf_puts(&sql, parts[1]);
	bool ok = pg_copy_count(s->source, buf_str(&sql), &count, e);
	buf_free(&sql);
	return ok;
}

/* Rows of which the SELECT refuses one are read as they are, as the copy itself then does. */
static bool read_flow(struct session *s, const struct table_plan *t, const struct table_cut *cut,
		      const struct flow_plan *f, struct err *e)
{
	if (read_rows(s, t, cut, f->copy_out, e))
		return true;
	if (e->kind != ERR_DATA || f->stage)
		return false;
	const char *raw[] = { arena_printf(&s->arena, "COPY (%s", f->stored_select[0]),
			      arena_printf(&s->arena, "%s) TO STDOUT", f->stored_select[1]) };
	err_clear(e);
	return read_rows(s, t, cut, raw, e);
}

/* As a worker of the copy would read it, for every flow of its table. */
static bool read_chunk(struct session *s, const struct table_plan *t, const struct table_cut *cut,
		       struct err *e)
{
	for (unsigned i = 0; i < t->nflows; i++)
		if (!read_flow(s, t, cut, &t->flows[i], e))
			return err_wrap(e, "read a chunk of %s", t->label);
	return true;
}

static bool measure_copy(struct session *s, struct outlook *o, struct err *e)
{
	unsigned largest = 0;

	for (unsigned i = 1; i < s->plan->ntables; i++)
		if (o->cuts[i].bytes > o->cuts[largest].bytes)
			largest = i;
	const struct table_cut *cut = &o->cuts[largest];
	int64_t since = clock_us();
	if (!read_chunk(s, &s->plan->tables[largest], cut, e))
		return false;
	o->sampled = &s->plan->tables[largest];
	o->sampled_bytes = cut->bytes / (cut->count + 1);
	o->sampled_seconds = (double)(clock_us() - since) / 1e6;
	o->copy_seconds = -1;
	o->workers = s->migration->jobs < o->chunks ? (unsigned)s->migration->jobs : o->chunks;
	if (o->sampled_bytes && o->sampled_seconds > 0)
		o->copy_seconds = (double)o->bytes / (double)o->sampled_bytes * o->sampled_seconds /
				  (double)o->workers;
	return true;
}

bool outlook_make(struct session *s, struct outlook *o, struct err *e)
{
	*o = (struct outlook){ .session = s };
	if (!read_only(s->source, e) || !read_only(s->target, e) || !load_phase(s, o, e) ||
	    !cut_tables(s, o, e) ||
	    !definitions_find(s->plan, s->target, &s->arena, &o->definitions, &o->ndefinitions,
			      e) ||
	    !look_at_sequences(s, o, e) || !measure_copy(s, o, e) || !measure_wal(s, o, e))
		return err_wrap(e, "plan");
	outlook_steps(s, o);
	return true;
}
