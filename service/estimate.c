#include "service/estimate.h"

#include "core/buf.h"
#include "core/clock.h"
#include "pg/copy.h"
#include "pg/predicate.h"

static bool cut_tables(const struct copy_source *s, struct estimate *out, struct err *e)
{
	const struct plan *p = s->plan;

	out->cuts = arena_array(s->arena, p->ntables, sizeof *out->cuts);
	for (unsigned i = 0; i < p->ntables; i++) {
		if (!chunks_cut(&p->tables[i], s->pg, s->migration->chunk_bytes, s->arena,
				&out->cuts[i], e))
			return false;
		out->bytes += out->cuts[i].bytes;
		out->chunks += out->cuts[i].count + 1;
	}
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
static bool read_rows(const struct copy_source *s, const struct table_plan *t,
		      const struct table_cut *cut, const char *const parts[2], struct err *e)
{
	const char *const *lo, *const *hi;
	struct copy_count count;
	struct buf sql = BUF_INIT;

	chunk_bounds(cut, &lo, &hi);
	buf_puts(&sql, parts[0]);
	chunk_predicate(t, lo, hi, &sql);
	buf_puts(&sql, parts[1]);
	bool ok = pg_copy_count(s->pg, buf_str(&sql), &count, e);
	buf_free(&sql);
	return ok;
}

/* Rows of which the SELECT refuses one are read as they are, as the copy itself then does. */
static bool read_flow(const struct copy_source *s, const struct table_plan *t,
		      const struct table_cut *cut, const struct flow_plan *f, struct err *e)
{
	if (read_rows(s, t, cut, f->copy_out, e))
		return true;
	if (e->kind != ERR_DATA || f->stage)
		return false;
	const char *raw[] = { arena_printf(s->arena, "COPY (%s", f->stored_select[0]),
			      arena_printf(s->arena, "%s) TO STDOUT", f->stored_select[1]) };
	err_clear(e);
	return read_rows(s, t, cut, raw, e);
}

/* As a worker of the copy would read it, for every flow of its table. */
static bool read_chunk(const struct copy_source *s, const struct table_plan *t,
		       const struct table_cut *cut, struct err *e)
{
	for (unsigned i = 0; i < t->nflows; i++)
		if (!read_flow(s, t, cut, &t->flows[i], e))
			return err_wrap(e, "read a chunk of %s", t->label);
	return true;
}

static bool measure(const struct copy_source *s, struct estimate *out, struct err *e)
{
	unsigned largest = 0;

	for (unsigned i = 1; i < s->plan->ntables; i++)
		if (out->cuts[i].bytes > out->cuts[largest].bytes)
			largest = i;
	const struct table_cut *cut = &out->cuts[largest];
	int64_t since = clock_us();
	if (!read_chunk(s, &s->plan->tables[largest], cut, e))
		return false;
	out->sampled = &s->plan->tables[largest];
	out->sampled_bytes = cut->bytes / (cut->count + 1);
	out->sampled_seconds = (double)(clock_us() - since) / 1e6;
	out->seconds = -1;
	out->workers = s->migration->jobs < out->chunks ? (unsigned)s->migration->jobs
							: out->chunks;
	if (out->sampled_bytes && out->sampled_seconds > 0)
		out->seconds = (double)out->bytes / (double)out->sampled_bytes *
			       out->sampled_seconds / (double)out->workers;
	return true;
}

bool estimate_copy(const struct copy_source *s, struct estimate *out, struct err *e)
{
	*out = (struct estimate){ .seconds = -1 };
	return cut_tables(s, out, e) && measure(s, out, e);
}
