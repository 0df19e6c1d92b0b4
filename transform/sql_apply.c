/* What a batch of changes runs at the target, one row of one. Several: sql_owner.c. */
#include "transform/sql_parts.h"

#include "pg/quote.h"

/* What a keep flag is called among a SELECT's outputs; no output has such a name. */
#define KEEP_NAME "\"pgcrossfade keep %u\""

/* The keep flag's place among the parameters, for the column that the output reads. */
static bool keep_flag(const struct flow *f, unsigned output, const struct binding *bound,
		      unsigned *place)
{
	unsigned column = flow_kept_column(f, output);

	for (*place = 0; *place < bound->nparams; (*place)++)
		if (bound->params[*place].kind == PARAM_KEEP &&
		    bound->params[*place].column == column)
			return true;
	return false;
}

/* "a" = q."a", "big" = CASE WHEN q."keep 3" THEN t."big" ELSE q."big"::text END */
static void put_set(struct buf *b, const struct flow *f, const struct binding *bound, bool with_key)
{
	unsigned count = 0, place;

	for (unsigned i = 0; i < f->query->noutputs; i++) {
		const struct catalog_column *c = flow_target(f, i);
		bool keep = keep_flag(f, i, bound, &place);
		if (flow_in_key(f, i) && !with_key)
			continue;
		buf_puts(b, count++ ? ", " : "");
		buf_ident(b, c->name);
		buf_puts(b, " = ");
		if (keep) {
			buf_printf(b, "CASE WHEN q." KEEP_NAME " THEN t.", place);
			buf_ident(b, c->name);
			buf_puts(b, " ELSE ");
		}
		buf_puts(b, "q.");
		buf_ident(b, c->name);
		if (keep)
			buf_printf(b, "::%s END", c->bare_type);
	}
}

/* --- statements --- */

static void make_inserts(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	sql_put_insert(&b, f, &bound);
	sql_name(a, f, "insert", &b, &bound, &out->insert);
	if (!f->def->key.count)
		return;
	if (f->generates) {
		sql_put_split_upsert(&b, f, &bound);
	} else {
		sql_put_insert(&b, f, &bound);
		sql_put_conflict(&b, f);
	}
	sql_name(a, f, "upsert", &b, &bound, &out->upsert);
}

/* q AS (the new rows, with their keep flags) */
static void put_kept_rows(struct buf *b, const struct flow *f, const struct binding *bound)
{
	buf_puts(b, "q AS MATERIALIZED (SELECT q.*");
	for (unsigned i = 0; i < bound->nparams; i++)
		if (bound->params[i].kind == PARAM_KEEP)
			buf_printf(b, ", %s.c%u AS " KEEP_NAME, bound->alias, i, i);
	buf_puts(b, " FROM ");
	sql_put_lateral(b, bound, f->query->text, "q");
	buf_puts(b, ")");
}

/* done AS (UPDATE ... FROM from WHERE */
static void put_done(struct buf *b, const struct flow *f, const struct binding *bound,
		     const char *from, const char *match)
{
	buf_puts(b, "done AS (UPDATE ");
	sql_put_target(b, f);
	buf_puts(b, " AS t SET ");
	put_set(b, f, bound, strcmp(match, "q") != 0);
	buf_printf(b, " FROM %s WHERE ", from);
	sql_put_found(b, f, match);
	buf_puts(b, " RETURNING 1)");
}

/*
 * An UPDATE neither locks the row before it changes it nor tries to insert it first. An array
 * has as many values as there are rows.
 */
static void make_renew(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);
	struct buf b = BUF_INIT, from = BUF_INIT;

	buf_putc(&from, '(');
	sql_put_cte(&from, &bound, "");
	buf_printf(&from, "SELECT q.* FROM (\n%s\n) q) q", f->query->text);
	buf_puts(&b, "WITH ");
	put_done(&b, f, &bound, buf_str(&from), "q");
	buf_puts(&b, " SELECT CASE WHEN count(*) < cardinality($1) THEN (count(*) || ' rows are at "
		     "the target')::int END FROM done");
	sql_name(a, f, "renew", &b, &bound, &out->renew);
	buf_free(&from);
}

/* Every row that stays under its key is at the target, and has columns to set. */
static bool renews(const struct flow *f)
{
	return !f->query->filtered && !f->generates && !catalog_partitioned(f->to) &&
	       f->query->noutputs > f->def->key.count;
}

/* A moved row that the filter lets in only now; NOT kept: it has all its values. */
static void put_came(struct buf *b, const struct flow *f, const struct binding *bound)
{
	buf_puts(b, ", came AS (");
	sql_put_insert_into(b, f);
	buf_puts(b, "SELECT ");
	sql_put_outputs(b, f);
	buf_puts(b, " FROM q WHERE NOT EXISTS (SELECT FROM done)");
	for (unsigned i = 0; i < bound->nparams; i++)
		if (bound->params[i].kind == PARAM_KEEP)
			buf_printf(b, " AND NOT q." KEEP_NAME, i);
	buf_puts(b, " RETURNING 1)");
}

/*
 * A row that came without its long values and is not at the target either (it enters the
 * filter, say) cannot be made up: that must stop the run. A cast is the one way of plain
 * SQL to raise an error with a text of one's own.
 */
static void put_guard(struct arena *a, struct buf *b, const struct flow *f, const char *other)
{
	const char *text = arena_printf(
	    a,
	    " rows of %s.%s " PLAN_VALUES_MISSING ", and the target does not have them "
	    "either; run: ALTER TABLE %s REPLICA IDENTITY FULL;",
	    f->from->schema, f->from->name, arena_qualified(a, f->from->schema, f->from->name));

	buf_puts(b, " SELECT CASE WHEN s.missing > 0 THEN (s.missing || ");
	buf_literal(b, text);
	buf_printf(b,
		   ")::int END FROM (SELECT (SELECT count(*) FROM q) - (SELECT count(*) FROM "
		   "done)%s AS missing) s",
		   other);
}

static void make_update(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->query->reads, true);
	struct buf b = BUF_INIT;

	buf_puts(&b, "WITH ");
	put_kept_rows(&b, f, &bound);
	buf_puts(&b, ", ");
	put_done(&b, f, &bound, "q", "q");
	put_guard(a, &b, f, "");
	sql_name(a, f, "update", &b, &bound, &out->update);
}

/*
 * The old key's parameters come first, under an alias of their own. A row that the filter
 * does not let in under its new key goes.
 */
static void make_move(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding old = bind_row(a, f, f->key_reads.column, false);
	struct binding bound = bind_row(a, f, f->query->reads, true);
	struct binding both = bind_both(a, &old, &bound);
	struct buf b = BUF_INIT;

	buf_puts(&b, "WITH d AS MATERIALIZED (SELECT d.* FROM ");
	sql_put_lateral(&b, &old, f->key_select, "d");
	buf_puts(&b, "), ");
	put_kept_rows(&b, f, &bound);
	buf_puts(&b, ", ");
	put_done(&b, f, &bound, "d, q", "d");
	buf_puts(&b, ", gone AS (DELETE FROM ");
	sql_put_target(&b, f);
	buf_puts(&b, " AS t USING d WHERE NOT EXISTS (SELECT FROM q) AND ");
	sql_put_found(&b, f, "d");
	buf_putc(&b, ')');
	put_came(&b, f, &bound);
	put_guard(a, &b, f, " - (SELECT count(*) FROM came)");
	sql_name(a, f, "move", &b, &both, &out->move);
}

void sql_make_remove(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->key_reads.column, false);
	struct buf b = BUF_INIT;

	buf_puts(&b, "DELETE FROM ");
	sql_put_target(&b, f);
	buf_puts(&b, " AS t USING (");
	sql_put_cte(&b, &bound, "");
	buf_printf(&b, "SELECT k.* FROM (\n%s\n) k) d WHERE ", f->key_select);
	sql_put_found(&b, f, "d");
	sql_name(a, f, "remove", &b, &bound, &out->remove);
}

/* What = takes for equal may still be another value: 1.0 and 1.00, or a and A. */
static void put_same_text(struct buf *b, const struct catalog_column *c)
{
	buf_puts(b, " AND n.");
	buf_ident(b, c->name);
	buf_puts(b, "::text IS NOT DISTINCT FROM q.");
	buf_ident(b, c->name);
	buf_printf(b, "::%s::text COLLATE \"C\"", sql_stored_type(c));
}

/* n."a" = q."a"::int AND n."note" IS NOT DISTINCT FROM ... */
static void put_row_match(struct buf *b, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		const struct catalog_column *c = flow_target(f, i);
		const char *text = c->comparable ? "" : "::text";
		buf_puts(b, i ? " AND " : "");
		sql_put_held(b, "n", c);
		buf_puts(b, text);
		if (c->not_null)
			sql_put_equals(b, c);
		else
			buf_puts(b, " IS NOT DISTINCT FROM ");
		sql_put_given(b, "q", c);
		buf_puts(b, text);
		if (c->comparable && !c->exact)
			put_same_text(b, c);
	}
}

/* Without a key one row that is the same as the old one goes; which of several does not matter. */
static void make_remove_equal(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	buf_puts(&b, "DELETE FROM ");
	sql_put_target(&b, f);
	/* a ctid is unique in one partition */
	buf_puts(&b, catalog_partitioned(f->to)
			 ? " WHERE (tableoid, ctid) = (SELECT n.tableoid, n.ctid FROM "
			 : " WHERE ctid = (SELECT n.ctid FROM ");
	sql_put_target(&b, f);
	buf_puts(&b, " AS n, (");
	sql_put_cte(&b, &bound, "");
	buf_printf(&b, "SELECT s.* FROM (\n%s\n) s) q WHERE ", f->query->text);
	put_row_match(&b, f);
	buf_puts(&b, " LIMIT 1)");
	sql_name(a, f, "remove", &b, &bound, &out->remove);
}

/* Of the batch's keys, those that no row of the batch still brings. */
static void make_leave(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->row_reads.column, false);
	struct buf b = BUF_INIT;

	sql_put_cte(&b, &bound, "MATERIALIZED ");
	buf_puts(&b, "DELETE FROM ");
	sql_put_target(&b, f);
	buf_printf(&b, " AS t USING (\n%s\n) d WHERE ", f->key_select);
	sql_put_found(&b, f, "d");
	buf_printf(&b, " AND NOT EXISTS (SELECT FROM (\n%s\n) q WHERE ", f->row_select);
	for (unsigned i = 0; i < f->def->key.count; i++) {
		const struct catalog_column *c = flow_target(f, f->key[i]);
		buf_puts(&b, i ? " AND " : "");
		sql_put_given(&b, "q", c);
		sql_put_equals(&b, c);
		sql_put_given(&b, "d", c);
	}
	buf_putc(&b, ')');
	sql_name(a, f, "leave", &b, &bound, &out->leave);
}

static void make_clear(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "DELETE FROM ");
	sql_put_target(&b, f);
	buf_puts(&b, " AS t WHERE true");
	sql_put_literals(&b, f);
	sql_name(a, f, "clear", &b, NULL, &out->clear);
}

/* One row of one. */
static void make_single(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	bool keyed = f->nfound > 0;

	make_inserts(a, f, out);
	if (f->def->insert_only)
		return;
	if (keyed)
		sql_make_remove(a, f, out);
	else
		make_remove_equal(a, f, out);
	if (keyed && renews(f) && !f->one_row) /* a single row costs less as an upsert */
		make_renew(a, f, out);
	if (keyed && f->query->filtered)
		make_leave(a, f, out);
	if (keyed && f->keeps)
		make_update(a, f, out);
	if (keyed && (f->keeps || f->moves) && !flow_key_fixed(f))
		make_move(a, f, out);
}

static void make_rows(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	if (f->lookup)
		sql_lookup(a, f, out);
	else if (f->owned)
		sql_owner(a, f, out);
	else
		make_single(a, f, out);
}

void sql_apply(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct flow one = *f;

	one.one_row = true;
	make_rows(a, f, out);
	make_rows(a, &one, out);
	if (!f->lookup)
		make_clear(a, f, out);
}

const char *sql_select(struct arena *a, const struct flow *f)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	sql_put_cte(&b, &bound, "");
	buf_printf(&b, "SELECT q.* FROM (\n%s\n) q", f->query->text);
	return sql_text(a, &b);
}

const char *sql_insert_one(struct arena *a, const struct flow *f, unsigned output)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);
	const char *name = f->query->outputs[output].name;
	struct buf b = BUF_INIT;

	buf_puts(&b, "INSERT INTO ");
	sql_put_target(&b, f);
	buf_puts(&b, " (");
	buf_ident(&b, name);
	buf_puts(&b, ") OVERRIDING SYSTEM VALUE ");
	sql_put_cte(&b, &bound, "");
	buf_puts(&b, "SELECT q.");
	buf_ident(&b, name);
	buf_printf(&b, " FROM (\n%s\n) q", f->query->text);
	return sql_text(a, &b);
}
