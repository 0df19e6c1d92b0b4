#include "transform/trial.h"

#include "core/clock.h"
#include "pg/array.h"
#include "pg/conn.h"
#include "pg/pipe.h"
#include "pg/quote.h"
#include "transform/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_PAGES = 64, MOST_ROWS = 1000, FIRST_ROWS = 50, FETCH_BYTES = 4 << 20 };

/* A table's pages: its own, or those of a partition. */
struct part {
	const char *name; /* quoted */
	uint64_t blocks;
};

struct reading {
	struct trial *t;
	struct pg *source, *target;
	struct arena *arena;  /* the results' */
	struct arena scratch; /* of a batch */
	int64_t deadline_ms;
	struct statement statement;
	unsigned nparts;
	struct part *parts;
	const char *columns;           /* what is read of the source */
	unsigned nkey;                 /* columns after those of the SELECT that name the row */
	const char **key;              /* their names */
	const struct pg_result *batch; /* rows at work */
	unsigned fetch;                /* rows a fetch */
	bool late;
};

/* --- where the rows lie --- */

static const char parts_sql[] =
    "SELECT format('%I.%I', n.nspname, c.relname), pg_relation_size(c.oid)"
    "  / current_setting('block_size')::int"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid"
    "  AND c.relkind <> 'p' OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid) WHERE isleaf)";

static bool find_parts(struct reading *r, struct err *e)
{
	char oid[16];
	const char *params[] = { oid };
	struct pg_result *res = NULL;

	snprintf(oid, sizeof oid, "%" PRIu32, r->t->flow->from->oid);
	bool ok = pg_query(r->source, parts_sql, 1, params, &res, e);
	r->nparts = ok ? pg_rows(res) : 0;
	r->parts = arena_array(r->arena, r->nparts, sizeof *r->parts);
	for (unsigned i = 0; i < r->nparts; i++) {
		uint64_t pages = (uint64_t)pg_int(res, i, 1);
		r->parts[i] = (struct part){ arena_strdup(r->arena, pg_text(res, i, 0)),
					     pages / BLOCK_PAGES + 1 };
		r->t->all_blocks += r->parts[i].blocks;
	}
	pg_result_free(res);
	return ok;
}

/* Visits every block once, far from the one before: near the golden ratio, and coprime. */
static uint64_t stride(uint64_t n)
{
	uint64_t step = n * 618 / 1000 + 1;

	for (;; step++) {
		uint64_t a = n, b = step;
		while (b) {
			uint64_t rest = a % b;
			a = b;
			b = rest;
		}
		if (a == 1)
			return step;
	}
}

static const struct part *part_of(const struct reading *r, uint64_t *block)
{
	const struct part *p = r->parts;

	while (*block >= p->blocks)
		*block -= p++->blocks;
	return p;
}

/* The columns that the SELECT reads, then what names the row in a message. */
static void name_columns(struct reading *r)
{
	const struct flow *f = r->t->flow;
	const struct catalog_index *primary = catalog_primary(f->from);
	struct buf b = BUF_INIT;

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i]) {
			buf_puts(&b, b.len ? ", " : "");
			buf_ident(&b, f->from->columns[i].name);
		}
	r->nkey = primary ? primary->ncolumns : 1;
	r->key = arena_array(r->arena, r->nkey, sizeof *r->key);
	for (unsigned i = 0; i < r->nkey; i++) {
		r->key[i] = primary ? f->from->columns[primary->columns[i]].name : "ctid";
		buf_puts(&b, ", ");
		buf_ident(&b, r->key[i]);
	}
	r->columns = sql_text(r->arena, &b);
}

/* --- one batch at the target --- */

static bool put_column(struct reading *r, const struct param *p, unsigned column, unsigned from,
		       unsigned to, struct buf *b, struct err *e)
{
	array_begin(b, p->wire, to - from);
	for (unsigned i = from; i < to; i++) {
		const char *v = pg_value(r->batch, i, column);
		if (!v)
			wire_null(b);
		else if (!wire_text(b, p->wire, (struct bytes){ v, strlen(v) }, e))
			return false;
	}
	return true;
}

/* Runs rows [from, to) through the SELECT. */
static bool run_rows(struct reading *r, unsigned from, unsigned to, struct pg_result **out,
		     struct err *e)
{
	const struct statement *s = &r->statement;
	struct buf *bufs = xcalloc(s->nparams, sizeof *bufs);
	struct bytes *arrays = xcalloc(s->nparams, sizeof *arrays);
	bool ok = true;

	for (unsigned i = 0; ok && i < s->nparams; i++) {
		ok = put_column(r, &s->params[i], i, from, to, &bufs[i], e);
		arrays[i] = buf_bytes(&bufs[i]);
	}
	ok = ok && pg_query_arrays(r->target, s, arrays, out, e);
	for (unsigned i = 0; i < s->nparams; i++)
		buf_free(&bufs[i]);
	free(bufs);
	free(arrays);
	return ok;
}

static const char *row_name(const struct reading *r, unsigned row)
{
	unsigned first = r->statement.nparams;
	struct buf b = BUF_INIT;

	for (unsigned i = 0; i < r->nkey; i++)
		buf_printf(&b, "%s%s=%s", i ? ", " : "(", r->key[i],
			   pg_text(r->batch, row, first + i));
	buf_putc(&b, ')');
	return sql_text(r->arena, &b);
}

static void keep_error(struct reading *r, unsigned row, const struct err *why)
{
	struct trial *t = r->t;
	unsigned i = 0;

	while (i < t->nerrors && strcmp(t->errors[i].sqlstate, why->sqlstate) != 0)
		i++;
	if (i == TRIAL_ERRORS)
		i--;
	if (i == t->nerrors) {
		t->nerrors++;
		memcpy(t->errors[i].sqlstate, why->sqlstate, sizeof why->sqlstate);
		t->errors[i].text = arena_strdup(r->arena, why->text);
		t->errors[i].example = row_name(r, row);
	}
	t->errors[i].count++;
}

/* In which of rows [from, to), none of which is refused by itself, is the test first true? */
static bool find_example(struct reading *r, unsigned test, unsigned from, unsigned to,
			 struct err *e)
{
	while (to - from > 1) {
		unsigned middle = from + (to - from) / 2;
		struct pg_result *res = NULL;
		if (!run_rows(r, from, middle, &res, e))
			return false;
		if (pg_int(res, 0, test + 1))
			to = middle;
		else
			from = middle;
		pg_result_free(res);
	}
	r->t->tests[test].example = row_name(r, from);
	return true;
}

static bool count_tests(struct reading *r, const struct pg_result *res, unsigned from, unsigned to,
			struct err *e)
{
	for (unsigned i = 0; i < r->t->ntests; i++) {
		struct trial_test *test = &r->t->tests[i];
		uint64_t count = (uint64_t)pg_int(res, 0, i + 1);
		test->count += count;
		if (count && !test->example && !find_example(r, i, from, to, e))
			return false;
	}
	return true;
}

/* The server's time ran out, not a row's fault. */
static bool timed_out(struct reading *r, const struct err *why)
{
	r->late |= strcmp(why->sqlstate, "57014") == 0;
	return r->late;
}

static bool try_rows(struct reading *r, unsigned from, unsigned to, struct err *e)
{
	struct pg_result *res = NULL;
	struct err why = ERR_INIT;

	if (r->late || clock_ms() > r->deadline_ms) {
		r->late = true;
		return true;
	}
	if (run_rows(r, from, to, &res, &why)) {
		bool ok = count_tests(r, res, from, to, &why) || timed_out(r, &why);
		pg_result_free(res);
		r->t->rows += to - from;
		if (!ok)
			*e = why;
		return ok;
	}
	if (timed_out(r, &why))
		return true;
	if (why.kind == ERR_RETRY) {
		*e = why;
		return false;
	}
	if (to - from > 1)
		return try_rows(r, from, from + (to - from) / 2, e) &&
		       try_rows(r, from + (to - from) / 2, to, e);
	r->t->rows++;
	keep_error(r, from, &why);
	return true;
}

/* --- one block of the source --- */

/* Rows may be long: the next fetch takes about so many as make up its bytes. */
static void size_fetch(struct reading *r, const struct pg_result *res)
{
	uint64_t bytes = 1, rows = pg_rows(res);

	for (unsigned i = 0; i < rows; i++)
		for (unsigned k = 0; k < r->statement.nparams; k++)
			bytes += strlen(pg_text(res, i, k));
	uint64_t fit = rows * FETCH_BYTES / bytes;
	r->fetch = fit < 1 ? 1 : fit > MOST_ROWS ? MOST_ROWS : (unsigned)fit;
}

static bool fetch(struct reading *r, unsigned *rows, struct err *e)
{
	struct pg_result *res = NULL;
	const char *sql = arena_printf(&r->scratch, "FETCH %u FROM pgcrossfade_trial", r->fetch);
	bool ok = pg_query(r->source, sql, 0, NULL, &res, e);

	*rows = ok ? pg_rows(res) : 0;
	if (*rows) {
		r->batch = res;
		ok = try_rows(r, 0, *rows, e);
		size_fetch(r, res);
	}
	pg_result_free(res);
	r->batch = NULL;
	return ok;
}

static bool read_block(struct reading *r, uint64_t block, struct err *e)
{
	const struct part *p = part_of(r, &block);
	unsigned rows = 1;
	bool last = block + 1 == p->blocks; /* and what was added since */
	const char *end = last ? ""
			       : arena_printf(&r->scratch, " AND ctid < '(%" PRIu64 ",0)'::tid",
					      (block + 1) * BLOCK_PAGES);

	bool ok = pg_begin(r->source, e) &&
		  pg_execf(r->source, e,
			   "DECLARE pgcrossfade_trial NO SCROLL CURSOR FOR SELECT %s FROM ONLY %s "
			   "WHERE ctid >= '(%" PRIu64 ",0)'::tid%s",
			   r->columns, p->name, block * BLOCK_PAGES, end);

	while (ok && rows && !r->late)
		ok = fetch(r, &rows, e);
	pg_rollback(r->source);
	r->t->blocks += ok && !r->late;
	arena_reset(&r->scratch);
	return ok || timed_out(r, e);
}

static bool read_blocks(struct reading *r, struct err *e)
{
	uint64_t n = r->t->all_blocks, step = stride(n ? n : 1);

	for (uint64_t i = 0; i < n && !r->late; i++) {
		if (!read_block(r, i * step % n, e))
			return false;
		r->late |= clock_ms() > r->deadline_ms;
	}
	return true;
}

/* --- the whole --- */

static bool restrain(struct pg *pg, int64_t ms, bool on, struct err *e)
{
	return pg_execf(pg, e, "SET statement_timeout = %" PRId64,
			on ? (ms < 100 ? 100 : ms) : 0) &&
	       pg_execf(pg, e, "SET default_transaction_read_only = %s", on ? "on" : "off");
}

/* The time counts from where rows are read: a finding about no row at all helps nobody. */
static bool try_all(struct reading *r, struct err *e)
{
	int64_t left = r->deadline_ms - clock_ms();

	return find_parts(r, e) && pg_prepare_arrays(r->target, &r->statement, e) &&
	       restrain(r->source, left, true, e) && restrain(r->target, left, true, e) &&
	       (read_blocks(r, e) || timed_out(r, e));
}

bool trial_run(struct trial *t, struct pg *source, struct pg *target, struct arena *a,
	       int64_t deadline_ms, struct err *e)
{
	struct reading r = { .t = t,
			     .source = source,
			     .target = target,
			     .arena = a,
			     .deadline_ms = deadline_ms,
			     .fetch = FIRST_ROWS };
	struct err ignored = ERR_INIT;

	sql_trial(a, t, &r.statement);
	name_columns(&r);
	bool ok = try_all(&r, e);
	if (ok)
		err_clear(e);
	pg_execf(target, &ignored, "DEALLOCATE %s", r.statement.name);
	ok = restrain(source, 0, false, ok ? e : &ignored) && ok;
	ok = restrain(target, 0, false, ok ? e : &ignored) && ok;
	arena_finish(&r.scratch);
	return ok;
}
