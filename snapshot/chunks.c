#include "snapshot/chunks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Pages read for each bound of a chunk: keeps chunk sizes within about a fifth. */
enum { PAGES_A_BOUND = 40, PAGE_BYTES = 8192 };

struct table_size {
	uint64_t bytes;   /* with TOAST */
	uint64_t pages;   /* without */
	uint64_t highest; /* pages of the largest partition; of a plain table, pages */
	double rows;      /* estimated; negative: never analyzed */
};

static bool table_size(struct pg *source, const struct table_plan *t, struct table_size *out,
		       struct err *e)
{
	struct pg_result *r = NULL;
	char oid[16];
	const char *params[] = { oid };

	snprintf(oid, sizeof oid, "%" PRIu32, t->oid);
	bool ok = pg_query_row(
	    source,
	    "SELECT sum(pg_table_size(o)), sum(pg_relation_size(o)), max(pg_relation_size(o)), "
	    "sum(reltuples) FILTER (WHERE relkind = 'r') FROM "
	    "(SELECT $1::oid AS o UNION SELECT relid FROM pg_partition_tree($1::oid)) t "
	    "JOIN pg_class c ON c.oid = o",
	    1, params, &r, e);
	if (ok)
		*out = (struct table_size){ (uint64_t)pg_int(r, 0, 0),
					    (uint64_t)pg_int(r, 0, 1) / PAGE_BYTES,
					    (uint64_t)pg_int(r, 0, 2) / PAGE_BYTES,
					    strtod(pg_text(r, 0, 3), NULL) };
	pg_result_free(r);
	return ok;
}

static unsigned chunk_count(const struct table_size *size, uint64_t chunk_bytes)
{
	uint64_t n = size->bytes / chunk_bytes + 1;

	return n > 1000000 ? 1000000 : (unsigned)n;
}

static bool cut_by_key(struct pg *source, const struct table_plan *t, const struct table_size *size,
		       unsigned chunks, struct arena *a, struct table_cut *out, struct err *e)
{
	double percent = size->pages ? 100.0 * PAGES_A_BOUND * chunks / (double)size->pages : 100;
	char share[32], count[16];
	const char *params[] = { share, count };
	struct pg_result *r = NULL;

	snprintf(share, sizeof share, "%.6f", percent > 100 ? 100 : percent);
	snprintf(count, sizeof count, "%u", chunks);
	if (!pg_query(source, t->chunk.sample, 2, params, &r, e))
		return err_wrap(e, "sample %s", t->label);
	out->nbounds = t->chunk.nkey;
	out->count = pg_rows(r);
	out->bounds = arena_array(a, out->count, sizeof *out->bounds);
	for (unsigned i = 0; i < out->count; i++) {
		out->bounds[i] = arena_array(a, out->nbounds, sizeof **out->bounds);
		for (unsigned k = 0; k < out->nbounds; k++)
			out->bounds[i][k] = arena_strdup(a, pg_text(r, i, k));
	}
	pg_result_free(r);
	return true;
}

/* In a partitioned table a range of ctids is that range of each partition. */
static void cut_by_ctid(const struct table_size *size, unsigned chunks, struct arena *a,
			struct table_cut *out)
{
	out->nbounds = 1;
	out->count = chunks - 1;
	out->bounds = arena_array(a, out->count, sizeof *out->bounds);
	for (unsigned i = 0; i < out->count; i++) {
		out->bounds[i] = arena_array(a, 1, sizeof **out->bounds);
		out->bounds[i][0] =
		    arena_printf(a, "(%" PRIu64 ",0)", size->highest * (i + 1) / chunks);
	}
}

static bool write_cut(struct pg *target, const char *migration, const struct table_plan *t,
		      const struct table_cut *cut, struct err *e)
{
	bool ok = pg_begin(target, e);

	for (unsigned i = 0; ok && i <= cut->count; i++) {
		struct ledger_chunk c = { .no = i,
					  .nbounds = cut->nbounds,
					  .lo = i ? cut->bounds[i - 1] : NULL,
					  .hi = i < cut->count ? cut->bounds[i] : NULL };
		ok = ledger_add_chunk(target, migration, t->label, &c, e);
	}
	ok = ok && pg_commit(target, e);
	if (!ok)
		pg_rollback(target);
	return ok;
}

bool chunks_cut(const struct table_plan *t, struct pg *source, uint64_t chunk_bytes,
		struct arena *a, struct table_cut *out, struct err *e)
{
	struct table_size size;
	bool ok = table_size(source, t, &size, e);

	*out = (struct table_cut){ 0 };
	if (ok && t->chunk.nkey)
		ok = cut_by_key(source, t, &size, chunk_count(&size, chunk_bytes), a, out, e);
	else if (ok)
		cut_by_ctid(&size, chunk_count(&size, chunk_bytes), a, out);
	if (ok) {
		out->bytes = size.bytes;
		out->rows = size.rows;
	}
	return ok || err_wrap(e, "cut %s into chunks", t->label);
}

static bool cut_table(const struct plan *plan, const struct table_plan *t, struct pg *source,
		      struct pg *target, uint64_t chunk_bytes, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct table_cut cut;
	bool ok = chunks_cut(t, source, chunk_bytes, &scratch, &cut, e) &&
		  (write_cut(target, plan->migration, t, &cut, e) ||
		   err_wrap(e, "cut %s into chunks", t->label));

	arena_finish(&scratch);
	return ok;
}

/* --- starting over --- */

/* As snapshot/judge.c follows a TRUNCATE between the snapshots of a table's chunks. */
static bool tells_chunks(const struct plan *plan, const struct table_plan *t)
{
	for (unsigned i = 0; i < t->nflows; i++)
		if (!t->flows[i].lookup && !t->flows[i].clear_copied.sql)
			return false;
	return !plan->rejects;
}

static bool must_restart(const struct plan *plan, const struct table_chunks *t)
{
	unsigned copied = 0;
	lsn_t lg = 0;
	bool mixed = false;

	for (unsigned i = 0; i < t->count; i++) {
		if (!t->chunks[i].copied)
			continue;
		mixed |= copied && t->chunks[i].lg != lg;
		lg = t->chunks[i].lg;
		copied++;
	}
	if (copied && t->rewritten && !tells_chunks(plan, t->table))
		return true;
	return chunks_one_generation(t->table) && copied && (copied < t->count || mixed);
}

/* A target that cannot be cleared for one of them alone. */
static bool share_target(const struct table_plan *a, const struct table_plan *b)
{
	for (unsigned i = 0; i < a->nflows; i++)
		for (unsigned k = 0; k < b->nflows; k++)
			if (strcmp(a->flows[i].target, b->flows[k].target) == 0 &&
			    !(a->flows[i].sole && b->flows[k].sole))
				return true;
	return false;
}

/* Marks the tables to restart and, until nothing is added, those that share a target. */
static unsigned mark_restarts(const struct plan *plan, const struct table_chunks *all, bool *mark)
{
	unsigned marked = 0, before;

	for (unsigned i = 0; i < plan->ntables; i++)
		marked += mark[i] = must_restart(plan, &all[i]);
	do {
		before = marked;
		for (unsigned i = 0; i < plan->ntables; i++)
			for (unsigned k = 0; !mark[i] && k < plan->ntables; k++)
				if (mark[k] && share_target(&plan->tables[i], &plan->tables[k]))
					marked += mark[i] = true;
	} while (marked != before);
	return marked;
}

static bool restart_table(const struct plan *plan, const struct table_plan *t, struct pg *target,
			  struct err *e)
{
	for (unsigned i = 0; i < t->nflows; i++)
		if (t->flows[i].clear.sql && !pg_exec(target, t->flows[i].clear.sql, e))
			return false;
	return ledger_drop_chunks(target, plan->migration, t->label, e);
}

static bool restart_marked(const struct plan *plan, struct pg *target, const bool *mark,
			   struct err *e)
{
	bool ok = pg_begin(target, e);

	for (unsigned i = 0; ok && i < plan->ntables; i++)
		ok = !mark[i] || restart_table(plan, &plan->tables[i], target, e);
	ok = ok && pg_commit(target, e);
	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "start the copy over");
}

static bool any_rewritten(const struct plan *plan, const struct table_chunks *all)
{
	for (unsigned i = 0; i < plan->ntables; i++)
		if (all[i].rewritten)
			return true;
	return false;
}

bool chunks_start_over(const struct plan *plan, struct pg *target, const struct table_chunks *all,
		       struct err *e)
{
	if (!any_rewritten(plan, all))
		return true;
	bool *mark = xcalloc(plan->ntables, sizeof *mark);
	bool ok = !mark_restarts(plan, all, mark) || restart_marked(plan, target, mark, e);

	free(mark);
	return ok;
}

static bool load_all(const struct plan *plan, struct pg *target, struct arena *a,
		     struct table_chunks *all, struct err *e)
{
	for (unsigned i = 0; i < plan->ntables; i++) {
		struct table_chunks *t = &all[i];
		t->table = &plan->tables[i];
		if (!ledger_chunks(target, plan->migration, t->table->label, a, &t->chunks,
				   &t->count, e))
			return false;
	}
	return true;
}

static bool cut_all(const struct plan *plan, struct pg *source, struct pg *target,
		    uint64_t chunk_bytes, const struct table_chunks *all, struct err *e)
{
	for (unsigned i = 0; i < plan->ntables; i++)
		if (all[i].count == 0 &&
		    !cut_table(plan, &plan->tables[i], source, target, chunk_bytes, e))
			return false;
	return true;
}

bool chunks_load(const struct plan *plan, struct pg *source, struct pg *target,
		 uint64_t chunk_bytes, struct arena *a, struct table_chunks **out, struct err *e)
{
	struct table_chunks *all = arena_array(a, plan->ntables, sizeof *all);
	bool *mark = arena_array(a, plan->ntables, sizeof *mark);

	*out = all;
	if (!load_all(plan, target, a, all, e))
		return false;
	if (mark_restarts(plan, all, mark))
		if (!restart_marked(plan, target, mark, e) || !load_all(plan, target, a, all, e))
			return false;
	return cut_all(plan, source, target, chunk_bytes, all, e) &&
	       load_all(plan, target, a, all, e);
}
