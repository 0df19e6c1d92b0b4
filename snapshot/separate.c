#include "snapshot/separate.h"

#include "core/log.h"
#include "pg/array.h"
#include "pg/ledger_reject.h"
#include "pg/pipe.h"

#include <stdio.h>
#include <stdlib.h>

/* A page ends at either: rows are fetched by number, so the number follows their size. */
enum { FIRST_ROWS = 64, PAGE_ROWS = 1000, PAGE_BYTES = 4 << 20 };

struct page {
	const struct separation *s;
	struct arena arena;
	const struct value **rows; /* plan order */
	unsigned count;
	uint64_t bytes;
	struct buf *arrays; /* one a parameter */
};

/* --- reading --- */

static const struct value *read_row(struct page *p, const struct pg_result *r, unsigned row)
{
	const struct table_plan *t = p->s->table;
	const struct flow_plan *f = p->s->flow;
	struct value *v = arena_array(&p->arena, t->ncolumns, sizeof *v);

	for (unsigned i = 0; i < t->ncolumns; i++)
		v[i] = (struct value){ VALUE_UNCHANGED, { "", 0 } };
	for (unsigned i = 0; i < f->nstored; i++) {
		const char *text = pg_value(r, row, i);
		v[f->stored[i]].kind = text ? VALUE_TEXT : VALUE_NULL;
		if (text) /* lives as long as the result */
			v[f->stored[i]].text = bytes_of(text);
		p->bytes += v[f->stored[i]].text.len;
	}
	return v;
}

static void read_page(struct page *p, const struct pg_result *r)
{
	arena_reset(&p->arena);
	p->count = pg_rows(r);
	p->bytes = 0;
	p->rows = arena_array(&p->arena, p->count, sizeof(struct value *));
	for (unsigned i = 0; i < p->count; i++)
		p->rows[i] = read_row(p, r, i);
}

/* As many rows as bring about a page's bytes, going by the page before. */
static unsigned next_rows(const struct page *p)
{
	uint64_t each = p->count ? p->bytes / p->count + 1 : PAGE_BYTES / FIRST_ROWS;
	uint64_t rows = PAGE_BYTES / each;

	return rows < 1 ? 1 : rows > PAGE_ROWS ? PAGE_ROWS : (unsigned)rows;
}

/* --- writing --- */

static bool fill_array(struct page *p, unsigned param, unsigned first, unsigned n, struct err *e)
{
	const struct param *wanted = &p->s->flow->insert.params[param];
	struct buf *b = &p->arrays[param];

	buf_clear(b);
	array_begin(b, wanted->wire, n);
	for (unsigned i = first; i < first + n; i++) {
		const struct value *v = &p->rows[i][wanted->column];
		if (v->kind != VALUE_TEXT)
			wire_null(b);
		else if (!wire_text(b, wanted->wire, v->text, e))
			return false;
	}
	return true;
}

/* Fails with ERR_DATA, and leaves no trace, when one of the rows is refused. */
static bool insert_rows(struct page *p, unsigned first, unsigned n, uint64_t *inserted,
			struct err *e)
{
	const struct statement *insert = &p->s->flow->insert;
	struct bytes *arrays = arena_array(&p->arena, insert->nparams, sizeof *arrays);
	uint64_t affected[3] = { 0, 0, 0 };
	struct pipe pipe;
	int failed;

	for (unsigned i = 0; i < insert->nparams; i++) {
		if (!fill_array(p, i, first, n, e))
			return false;
		arrays[i] = buf_bytes(&p->arrays[i]);
	}
	if (!pipe_begin(&pipe, p->s->target, e))
		return false;
	bool sent = pipe_send(&pipe, "SAVEPOINT rows", e) &&
		    pipe_send_arrays(&pipe, insert, arrays, e) &&
		    pipe_send(&pipe, "RELEASE SAVEPOINT rows", e);
	struct err late = ERR_INIT; /* leave pipeline mode; the first error counts */
	bool ok = pipe_finish(&pipe, &failed, affected, sent ? e : &late) && sent;
	if (ok)
		*inserted += affected[1];
	else if (e->kind == ERR_DATA) {
		struct err undo = ERR_INIT;
		if (!pg_exec(p->s->target, "ROLLBACK TO SAVEPOINT rows; RELEASE SAVEPOINT rows",
			     &undo))
			*e = undo;
	}
	return ok;
}

static void log_reject(const struct separation *s, const struct reject *r)
{
	struct arena scratch = ARENA_INIT;
	char lsn[LSN_TEXT];

	log_event(LOG_WARN, "reject", "table=%s target=%s chunk=%u sqlstate=%s lsn=%s",
		  log_name(&scratch, s->table->label), log_name(&scratch, s->flow->target_name),
		  s->chunk, r->sqlstate, lsn_format(r->lsn, lsn));
	arena_finish(&scratch);
}

static bool put_aside(struct page *p, unsigned row, struct err *e)
{
	const struct separation *s = p->s;
	struct err why = *e;
	struct reject r = { .row = p->rows[row],
			    .lsn = s->lg,
			    .sequence = -1,
			    .chunk = s->chunk,
			    .sqlstate = why.sqlstate,
			    .error = why.text };

	if (atomic_fetch_add(s->rejected, 1) >= s->plan->rejects)
		return err_wrap(e, "%llu rows are put aside and rejects allows no more",
				(unsigned long long)s->plan->rejects);
	err_clear(e);
	log_reject(s, &r);
	return ledger_reject_add(s->target, s->plan->migration, s->table, s->flow, &r, e);
}

static bool insert_halves(struct page *p, unsigned first, unsigned n, uint64_t *inserted,
			  struct err *e)
{
	if (n == 0 || insert_rows(p, first, n, inserted, e))
		return true;
	if (e->kind != ERR_DATA)
		return false;
	if (n == 1)
		return put_aside(p, first, e);
	err_clear(e);
	return insert_halves(p, first, n / 2, inserted, e) &&
	       insert_halves(p, first + n / 2, n - n / 2, inserted, e);
}

/* --- page by page --- */

static bool fetch(struct page *p, unsigned rows, struct copy_count *count, struct err *e)
{
	char sql[64];
	struct pg_result *r = NULL;

	snprintf(sql, sizeof sql, "FETCH %u FROM pgcrossfade_rows", rows);
	if (!pg_query(p->s->source, sql, 0, NULL, &r, e))
		return err_wrap(e, "source");
	read_page(p, r);
	count->bytes += p->bytes;
	bool ok = insert_halves(p, 0, p->count, &count->rows, e) || err_wrap(e, "target");
	pg_result_free(r);
	return ok;
}

static bool every_page(struct page *p, struct copy_count *count, struct err *e)
{
	unsigned rows;

	do {
		rows = next_rows(p);
		if (atomic_load_explicit(p->s->stop, memory_order_relaxed))
			return err_set(e, ERR_RETRY, "copy cancelled");
		if (!fetch(p, rows, count, e))
			return false;
	} while (p->count == rows);
	return true;
}

/* The cursor is older than the savepoints, so that going back to one leaves it as it is. */
bool separate_rows(const struct separation *s, struct copy_count *count, struct err *e)
{
	struct page p = { .s = s };

	p.arrays = xcalloc(s->flow->insert.nparams, sizeof *p.arrays);
	bool ok =
	    pg_execf(s->source, e, "DECLARE pgcrossfade_rows NO SCROLL CURSOR FOR %s", s->select) &&
	    pg_prepare_arrays(s->target, &s->flow->insert, e) && every_page(&p, count, e) &&
	    pg_exec(s->source, "CLOSE pgcrossfade_rows", e) &&
	    pg_execf(s->target, e, "DEALLOCATE %s", s->flow->insert.name);
	for (unsigned i = 0; i < s->flow->insert.nparams; i++)
		buf_free(&p.arrays[i]);
	free(p.arrays);
	arena_finish(&p.arena);
	return ok;
}
