/*
 * Type changes and constraints tried on the rows that are there: better to hear it from
 * check than from a copy that stops after hours.
 */
#include "transform/check.h"

#include "core/clock.h"
#include "pg/conn.h"
#include "pg/quote.h"
#include "transform/tables.h"
#include "transform/trial.h"

#include <inttypes.h>
#include <stdio.h>

/* --- what a cast by hand does not see --- */

/* Below all domains: the type of each column, and its length with the header's 4. */
static const char lengths_sql[] =
    "WITH RECURSIVE d AS (SELECT attname, atttypid AS t, atttypmod AS m FROM pg_attribute"
    "  WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped"
    " UNION ALL SELECT attname, typbasetype, typtypmod FROM d JOIN pg_type y ON y.oid = d.t"
    "  WHERE y.typtype = 'd')"
    "SELECT d.attname, d.t, d.m FROM d JOIN pg_type y ON y.oid = d.t"
    " WHERE y.typtype <> 'd' AND d.m >= 0 AND d.t IN (1042, 1043, 1560, 1562)";

static const char checks_sql[] =
    "SELECT c.conname, pg_get_expr(c.conbin, c.conrelid), (SELECT string_agg(attname, '\x1f')"
    "  FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = ANY (c.conkey))"
    " FROM pg_constraint c WHERE c.contype = 'c' AND c.conrelid = $1::oid ORDER BY 1";

static struct trial_test *add(struct trial *t)
{
	return &t->tests[t->ntests++];
}

static void test_nulls(struct check *c, const struct flow *f, struct trial *t)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		const struct catalog_column *column = flow_target(f, i);
		if (!column->not_null)
			continue;
		struct trial_test *test = add(t);
		test->cast =
		    arena_printf(c->arena, "%s IS NULL", arena_ident(c->arena, column->name));
		test->what =
		    arena_printf(c->arena, "NULL in \"%s\", which is NOT NULL", column->name);
	}
}

static void test_length(struct check *c, const struct pg_result *r, unsigned row, struct trial *t)
{
	enum { BPCHAR = 1042, VARCHAR = 1043, BIT = 1560 };
	const char *name = arena_ident(c->arena, pg_text(r, row, 0));
	int64_t type = pg_int(r, row, 1), modifier = pg_int(r, row, 2);
	bool text = type == BPCHAR || type == VARCHAR;
	int64_t length = text ? modifier - 4 : modifier;
	struct trial_test *test = add(t);

	test->raw = text ? arena_printf(c->arena, "(length(rtrim(q.%s::text, ' ')) > %" PRId64 ")",
					name, length)
			 : arena_printf(c->arena, "(length(q.%s::bit varying) %s %" PRId64 ")",
					name, type == BIT ? "<>" : ">", length);
	test->what = arena_printf(c->arena, "a value in \"%s\" that %s %" PRId64 " %s",
				  pg_text(r, row, 0), type == BIT ? "has not" : "is longer than",
				  length, text ? "characters" : "bits");
}

static bool test_lengths(struct check *c, const struct flow *f, const char *oid, struct trial *t,
			 struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(c->target.pg, lengths_sql, 1, &oid, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		if (query_output_find(f->query, pg_text(r, i, 0)) < f->query->noutputs)
			test_length(c, r, i, t);
	pg_result_free(r);
	return ok;
}

/* Does the flow fill every column that the constraint reads? */
static bool fills(struct check *c, const struct flow *f, const char *columns)
{
	char *list = arena_strdup(c->arena, columns), *rest = list;

	for (char *name; (name = strsep(&rest, "\x1f"));)
		if (query_output_find(f->query, name) == f->query->noutputs)
			return false;
	return *columns;
}

static bool test_checks(struct check *c, const struct flow *f, const char *oid, struct trial *t,
			struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(c->target.pg, checks_sql, 1, &oid, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++) {
		if (!fills(c, f, pg_text(r, i, 2)))
			continue;
		struct trial_test *test = add(t);
		test->cast = arena_printf(c->arena, "(%s) IS FALSE", pg_text(r, i, 1));
		test->what = arena_printf(c->arena, "values that CHECK %s forbids: %s",
					  pg_text(r, i, 0), pg_text(r, i, 1));
	}
	pg_result_free(r);
	return ok;
}

static bool count_checks(struct check *c, const char *oid, unsigned *n, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->target.pg,
			       "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND "
			       "conrelid = $1::oid",
			       1, &oid, &r, e);

	*n = ok ? (unsigned)pg_int(r, 0, 0) : 0;
	pg_result_free(r);
	return ok;
}

static bool make_tests(struct check *c, const struct flow *f, struct trial *t, struct err *e)
{
	const char *oid = arena_printf(c->arena, "%" PRIu32, f->to->oid);
	unsigned checks;

	if (!count_checks(c, oid, &checks, e))
		return false;
	t->tests = arena_array(c->arena, (size_t)f->query->noutputs * 2 + checks, sizeof *t->tests);
	test_nulls(c, f, t);
	return test_lengths(c, f, oid, t, e) && test_checks(c, f, oid, t, e);
}

/* --- what came out --- */

static const char *amount(struct check *c, const struct trial *t)
{
	if (t->blocks >= t->all_blocks)
		return arena_printf(c->arena, "all %" PRIu64 " rows", t->rows);
	return arena_printf(c->arena,
			    "%" PRIu64 " rows, %.1f %% of the table, spread over it (that is all "
			    "there was time for)",
			    t->rows, 100.0 * (double)t->blocks / (double)t->all_blocks);
}

/* Up to `rejects` rows the run puts aside; that is worth a warning all the same. */
static void report_refused(struct check *c, const struct flow *f, const struct trial *t,
			   const char *text)
{
	uint64_t refused = 0;

	for (unsigned i = 0; i < t->nerrors; i++)
		refused += t->errors[i].count;
	for (unsigned i = 0; i < t->ntests; i++)
		refused += t->tests[i].count;
	if (refused <= c->m->rejects)
		check_warn_at(c, f->subject, f->def->select_lies.first,
			      "%s; the run puts such rows aside, for rejects is %" PRIu64, text,
			      c->m->rejects);
	else
		check_fail_at(c, f->subject, f->def->select_lies.first,
			      "%s; correct the rows, the SELECT or the table", text);
}

static void report_trial(struct check *c, const struct flow *f, const struct trial *t)
{
	bool refused = t->nerrors > 0;

	for (unsigned i = 0; i < t->nerrors; i++)
		report_refused(c, f, t,
			       arena_printf(c->arena,
					    "the target refuses %" PRIu64 " of %" PRIu64
					    " rows tried, the first is row %s of %s.%s: %s%s",
					    t->errors[i].count, t->rows, t->errors[i].example,
					    f->from->schema, f->from->name, t->errors[i].text,
					    trial_finds(f) ? " (the key is computed for rows that "
							     "WHERE leaves out, too: if that is "
							     "it, write CASE WHEN ... END)"
							   : ""));
	for (unsigned i = 0; i < t->ntests; i++) {
		const struct trial_test *test = &t->tests[i];
		refused |= test->count > 0;
		if (test->count)
			report_refused(c, f, t,
				       arena_printf(c->arena,
						    "%" PRIu64 " of %" PRIu64
						    " rows tried would bring %s.%s %s, the first "
						    "comes from row %s",
						    test->count, t->rows, f->to->schema,
						    f->to->name, test->what, test->example));
	}
	if (!refused)
		check_pass(c, f->subject, "tried on the data: %s", amount(c, t));
	else if (t->blocks < t->all_blocks)
		check_warn(c, f->subject, "tried on the data: %s; more rows may be refused",
			   amount(c, t));
}

/* --- rows that would share a key --- */

static bool told_apart(const struct flow *f)
{
	const struct catalog_index *primary = catalog_primary(f->from);

	for (unsigned i = 0; primary && i < primary->ncolumns; i++)
		if (!tables_key_holds(f, primary->columns[i]))
			return false;
	return primary != NULL;
}

static const char *names_of(struct check *c, const struct flow *f, unsigned n,
			    const unsigned *outputs)
{
	const char *list = "";

	for (unsigned i = 0; i < n; i++)
		list = arena_printf(c->arena, "%s%s\"%s\"", list, i ? ", " : "",
				    f->query->outputs[outputs[i]].name);
	return list;
}

static void report_repeated(struct check *c, const struct flow *f, const struct pg_result *r,
			    const char *names)
{
	uint64_t targets = (uint64_t)pg_int(r, 0, 0), rows = (uint64_t)pg_int(r, 0, 1);
	const char *text = arena_printf(
	    c->arena,
	    "%" PRIu64 " old rows would become %" PRIu64 " rows of %s.%s, which is unique in (%s), "
	    "for example those with (%s)",
	    rows, targets, f->to->schema, f->to->name, names, pg_text(r, 0, 2));

	if (targets && rows - targets <= c->m->rejects)
		check_warn_at(c, f->subject, f->def->key_place,
			      "%s; the run puts %" PRIu64 " of them aside, for rejects is %" PRIu64,
			      text, rows - targets, c->m->rejects);
	else if (targets)
		check_fail_at(c, f->subject, f->def->key_place,
			      "%s; key it by what tells them apart, or correct the rows", text);
}

/* Under the source's statement_timeout; what a row's own fault is has been said already. */
static bool try_unique(struct check *c, const struct flow *f, unsigned n, const unsigned *outputs,
		       int64_t deadline_ms, struct err *e)
{
	int64_t left = deadline_ms - clock_ms();
	const char *names = names_of(c, f, n, outputs);
	struct pg *pg = c->source.pg;
	struct pg_result *r = NULL;
	struct err why = ERR_INIT;

	if (!pg_execf(pg, e, "SET statement_timeout = %" PRId64, left < 100 ? 100 : left))
		return false;
	if (pg_query_row(pg, sql_repeated(c->arena, f, n, outputs), 0, NULL, &r, &why))
		report_repeated(c, f, r, names);
	else if (why.kind == ERR_RETRY && strcmp(why.sqlstate, "57014") != 0)
		return err_set(e, ERR_RETRY, "%s", why.text);
	else
		check_warn(c, f->subject,
			   "whether rows repeat in (%s) could not be told (%s); give check more "
			   "time with --data-time",
			   names, why.text);
	pg_result_free(r);
	return pg_exec(pg, "SET statement_timeout = 0", e);
}

/* The outputs that fill the index, or false. */
static bool filled(struct check *c, const struct flow *f, const struct catalog_index *index,
		   const unsigned **out)
{
	unsigned *outputs = arena_array(c->arena, index->ncolumns, sizeof *outputs);

	for (unsigned i = 0; index->exact && i < index->ncolumns; i++) {
		outputs[i] = query_output_find(f->query, f->to->columns[index->columns[i]].name);
		if (outputs[i] == f->query->noutputs)
			return false;
	}
	*out = outputs;
	return index->exact;
}

static bool is_key(const struct flow *f, unsigned n, const unsigned *outputs)
{
	for (unsigned i = 0; i < n; i++)
		if (!flow_in_key(f, outputs[i]))
			return false;
	return n == f->def->key.count;
}

static bool check_repeats(struct check *c, const struct flow *f, int64_t deadline_ms, struct err *e)
{
	bool sure = f->lookup || told_apart(f), ok = true;
	const unsigned *outputs;

	if (!c->one_database && !f->at_source) {
		if (f->def->key.count && !sure)
			check_warn(c, f->subject,
				   "whether rows would share a key was not tried, for the SELECT "
				   "runs at the target only; make sure that the key tells them "
				   "apart");
		return true;
	}
	if (f->def->key.count && !sure)
		ok = try_unique(c, f, f->def->key.count, f->key, deadline_ms, e);
	for (unsigned i = 0; ok && i < f->to->nindexes; i++)
		if (filled(c, f, &f->to->indexes[i], &outputs) &&
		    !is_key(f, f->to->indexes[i].ncolumns, outputs))
			ok = try_unique(c, f, f->to->indexes[i].ncolumns, outputs, deadline_ms, e);
	return ok;
}

/* --- all flows --- */

static bool check_flow_data(struct check *c, const struct flow *f, int64_t deadline_ms,
			    struct err *e)
{
	struct trial t = { .flow = f };

	if (f->joins) {
		check_warn(c, f->subject,
			   "not tried on the data, for it reads tables that may be filled only "
			   "while the migration runs");
		return true;
	}
	if (!make_tests(c, f, &t, e))
		return err_wrap(e, "%s", f->subject);
	if (trial_run(&t, c->source.pg, c->target.pg, c->arena, deadline_ms, e)) {
		report_trial(c, f, &t);
		return check_repeats(c, f, deadline_ms, e) || err_wrap(e, "%s", f->subject);
	}
	if (e->kind == ERR_RETRY)
		return err_wrap(e, "%s", f->subject);
	check_warn(c, f->subject,
		   "could not be tried on the data: %s; try it on a few rows yourself", e->text);
	err_clear(e);
	return true;
}

bool check_data(struct check *c, const struct flow *flows, int64_t time_ms, struct err *e)
{
	int64_t end = clock_ms() + time_ms;

	for (unsigned i = 0; i < c->m->nflows; i++) {
		int64_t now = clock_ms(), left = end > now ? end - now : 0;
		if (!check_flow_data(c, &flows[i], now + left / (c->m->nflows - i), e))
			return false;
	}
	return true;
}
