/* What a batch of changes runs at the target. */
#include "transform/sql.h"

#include "pg/quote.h"

/* What a keep flag is called among a SELECT's outputs; no output has such a name. */
#define KEEP_NAME "\"pgcrossfade keep %u\""

/* A row bound to arrays: unnest($first, ...) AS alias(c0, c1, ...). */
struct binding {
	const struct flow *flow;
	const char *alias;
	unsigned first; /* its first parameter, from 1 */
	unsigned nparams;
	const struct param *params;
};

static const char *const wire_names[] = {
	[WIRE_INT2] = "int2[]", [WIRE_INT4] = "int4[]", [WIRE_INT8] = "int8[]",
	[WIRE_TEXT] = "text[]", [WIRE_BOOL] = "bool[]",
};

enum wire sql_wire(uint32_t type_oid)
{
	enum { INT8_OID = 20, INT2_OID = 21, INT4_OID = 23 };

	switch (type_oid) {
	case INT2_OID:
		return WIRE_INT2;
	case INT4_OID:
		return WIRE_INT4;
	case INT8_OID:
		return WIRE_INT8;
	default:
		return WIRE_TEXT;
	}
}

const char *sql_text(struct arena *a, struct buf *b)
{
	const char *text = arena_strndup(a, buf_str(b), b->len);

	buf_free(b);
	return text;
}

/* --- parameters --- */

/* The columns of a set, in the table's order; then a keep flag for each that wants one. */
static struct binding bind(struct arena *a, const struct flow *f, const bool *reads, bool keeps)
{
	struct param *params = arena_array(a, (size_t)f->from->ncolumns * 2, sizeof *params);
	struct binding b = { .flow = f, .alias = "u", .first = 1, .params = params };

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (reads[i])
			params[b.nparams++] =
			    (struct param){ PARAM_VALUE, i,
					    sql_wire(f->from->columns[i].type_oid) };
	for (unsigned i = 0; keeps && i < f->from->ncolumns; i++)
		if (reads[i] && flow_keeps_column(f, i))
			params[b.nparams++] = (struct param){ PARAM_KEEP, i, WIRE_BOOL };
	return b;
}

static void put_unnest(struct buf *b, const struct binding *bound)
{
	buf_puts(b, "unnest(");
	for (unsigned i = 0; i < bound->nparams; i++)
		buf_printf(b, "%s$%u::%s", i ? ", " : "", bound->first + i,
			   wire_names[bound->params[i].wire]);
	buf_printf(b, ") AS %s(", bound->alias);
	for (unsigned i = 0; i < bound->nparams; i++)
		buf_printf(b, "%sc%u", i ? ", " : "", i);
	buf_putc(b, ')');
}

/*
 * A cast reads a text as the type's own input does, but for one type: that of text to
 * regclass takes "-" and numbers for names. Of bpchar there is none, and so the input is used.
 */
static const char *cast_by_way_of(uint32_t type_oid)
{
	enum { REGCLASS_OID = 2205 };

	return type_oid == REGCLASS_OID ? "::bpchar" : "";
}

/*
 * SELECT u.c0 AS "id", u.c1::numeric AS "amount": without the modifier, which the source
 * may have changed since. The bare type cuts and rounds nothing.
 */
static void put_row(struct buf *b, const struct binding *bound)
{
	buf_puts(b, "SELECT");
	for (unsigned i = 0; i < bound->nparams; i++) {
		const struct param *p = &bound->params[i];
		const struct catalog_column *c = &bound->flow->from->columns[p->column];
		if (p->kind != PARAM_VALUE)
			continue;
		buf_printf(b, "%s %s.c%u", i ? "," : "", bound->alias, i);
		if (p->wire == WIRE_TEXT)
			buf_printf(b, "%s::%s", cast_by_way_of(c->type_oid), c->bare_type);
		buf_puts(b, " AS ");
		buf_ident(b, c->name);
	}
}

/* WITH old AS (SELECT ... FROM unnest(...)) */
static void put_old(struct buf *b, const struct binding *bound, const char *materialized)
{
	buf_printf(b, "WITH old AS %s(", materialized);
	put_row(b, bound);
	buf_puts(b, " FROM ");
	put_unnest(b, bound);
	buf_puts(b, ") ");
}

/* unnest(...) AS u(...), LATERAL (WITH old AS (...) SELECT s.* FROM (select) s) name */
static void put_lateral(struct buf *b, const struct binding *bound, const char *select,
			const char *name)
{
	put_unnest(b, bound);
	buf_puts(b, ", LATERAL (WITH old AS (");
	put_row(b, bound);
	buf_printf(b, ") SELECT s.* FROM (\n%s\n) s) %s", select, name);
}

static void name_statement(struct arena *a, const struct flow *f, const char *what, struct buf *sql,
			   const struct binding *bound, struct statement *out)
{
	*out = (struct statement){
		.name = arena_printf(a, "f%u_%s", f->no, what),
		.sql = sql_text(a, sql),
		.nparams = bound ? bound->nparams : 0,
		.params = bound ? bound->params : NULL,
	};
}

void sql_put_old(struct arena *a, const struct flow *f, struct buf *b, struct statement *out)
{
	struct binding bound = bind(a, f, f->query->reads, false);

	put_old(b, &bound, "");
	*out = (struct statement){ .nparams = bound.nparams, .params = bound.params };
}

/* --- parts --- */

void sql_put_target_columns(struct buf *b, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		buf_puts(b, i ? ", " : "");
		buf_ident(b, f->query->outputs[i].name);
	}
}

void sql_put_outputs(struct buf *b, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		buf_puts(b, i ? ", q." : "q.");
		buf_ident(b, f->query->outputs[i].name);
	}
}

void sql_put_overriding(struct buf *b, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->noutputs; i++)
		if (flow_target(f, i)->identity == 'a') {
			buf_puts(b, "OVERRIDING SYSTEM VALUE ");
			return;
		}
}

static void put_target(struct buf *b, const struct flow *f)
{
	buf_qualified(b, f->to->schema, f->to->name);
}

/*
 * The value as the target holds it, for comparing: numeric(10,2) rounds as the INSERT did.
 * A length is left out, for an explicit cast would cut what the INSERT refuses.
 */
static const char *stored_type(const struct catalog_column *c)
{
	enum { BPCHAR = 1042, VARCHAR = 1043, BIT = 1560, VARBIT = 1562 };
	bool length = c->type_oid == BPCHAR || c->type_oid == VARCHAR || c->type_oid == BIT ||
		      c->type_oid == VARBIT;

	return length ? c->bare_type : c->type;
}

/* t."k" = d."k"::bigint AND ... */
static void put_key_match(struct buf *b, const struct flow *f, const char *other)
{
	for (unsigned i = 0; i < f->def->key.count; i++) {
		const struct catalog_column *c = flow_target(f, f->key[i]);
		buf_puts(b, i ? " AND t." : "t.");
		buf_ident(b, c->name);
		buf_printf(b, " = %s.", other);
		buf_ident(b, c->name);
		buf_printf(b, "::%s", stored_type(c));
	}
}

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

static void put_insert(struct buf *b, const struct flow *f, const struct binding *bound)
{
	buf_puts(b, "INSERT INTO ");
	put_target(b, f);
	buf_puts(b, " (");
	sql_put_target_columns(b, f);
	buf_puts(b, ") ");
	sql_put_overriding(b, f);
	put_old(b, bound, "");
	buf_puts(b, "SELECT ");
	sql_put_outputs(b, f);
	buf_printf(b, " FROM (\n%s\n) q", f->query->text);
}

static void put_conflict(struct buf *b, const struct flow *f)
{
	const char *separator = " DO UPDATE SET ";

	buf_puts(b, " ON CONFLICT (");
	for (unsigned i = 0; i < f->def->key.count; i++) {
		buf_puts(b, i ? ", " : "");
		buf_ident(b, f->def->key.names[i]);
	}
	buf_putc(b, ')');
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		if (flow_in_key(f, i))
			continue;
		buf_puts(b, separator);
		buf_ident(b, f->query->outputs[i].name);
		buf_puts(b, " = EXCLUDED.");
		buf_ident(b, f->query->outputs[i].name);
		separator = ", ";
	}
	if (f->query->noutputs == f->def->key.count)
		buf_puts(b, " DO NOTHING");
}

static void make_inserts(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	put_insert(&b, f, &bound);
	name_statement(a, f, "insert", &b, &bound, &out->insert);
	if (f->def->key.count) {
		put_insert(&b, f, &bound);
		put_conflict(&b, f);
		name_statement(a, f, "upsert", &b, &bound, &out->upsert);
	}
}

/* q AS (the new rows, with their keep flags) */
static void put_kept_rows(struct buf *b, const struct flow *f, const struct binding *bound)
{
	buf_puts(b, "q AS MATERIALIZED (SELECT q.*");
	for (unsigned i = 0; i < bound->nparams; i++)
		if (bound->params[i].kind == PARAM_KEEP)
			buf_printf(b, ", %s.c%u AS " KEEP_NAME, bound->alias, i, i);
	buf_puts(b, " FROM ");
	put_lateral(b, bound, f->query->text, "q");
	buf_puts(b, ")");
}

/* done AS (UPDATE ...) */
static void put_done(struct buf *b, const struct flow *f, const struct binding *bound,
		     const char *from, const char *match)
{
	buf_puts(b, ", done AS (UPDATE ");
	put_target(b, f);
	buf_puts(b, " AS t SET ");
	put_set(b, f, bound, strcmp(match, "q") != 0);
	buf_printf(b, " FROM %s WHERE ", from);
	put_key_match(b, f, match);
	buf_puts(b, " RETURNING 1)");
}

/*
 * A row that came without its long values and is not at the target either (it enters the
 * filter, say) cannot be made up: that must stop the run. A cast is the one way of plain
 * SQL to raise an error with a text of one's own.
 */
static void put_guard(struct arena *a, struct buf *b, const struct flow *f)
{
	const char *text = arena_printf(
	    a,
	    " rows of %s.%s " PLAN_VALUES_MISSING ", and the target does not have them "
	    "either; run: ALTER TABLE %s REPLICA IDENTITY FULL;",
	    f->from->schema, f->from->name, arena_qualified(a, f->from->schema, f->from->name));

	buf_puts(b, " SELECT CASE WHEN s.missing > 0 THEN (s.missing || ");
	buf_literal(b, text);
	buf_puts(b, ")::int END FROM (SELECT (SELECT count(*) FROM q) - (SELECT count(*) FROM "
		    "done) AS missing) s");
}

static void make_update(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind(a, f, f->query->reads, true);
	struct buf b = BUF_INIT;

	buf_puts(&b, "WITH ");
	put_kept_rows(&b, f, &bound);
	put_done(&b, f, &bound, "q", "q");
	put_guard(a, &b, f);
	name_statement(a, f, "update", &b, &bound, &out->update);
}

/*
 * The old key's parameters come first, under an alias of their own. A row that the filter
 * does not let in under its new key goes.
 */
static void make_move(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding old = bind(a, f, f->key_reads.column, false);
	struct binding bound = bind(a, f, f->query->reads, true);
	struct param *all = arena_array(a, old.nparams + bound.nparams, sizeof *all);
	struct buf b = BUF_INIT;

	bound.first = old.nparams + 1;
	memcpy(all, old.params, old.nparams * sizeof *all);
	memcpy(all + old.nparams, bound.params, bound.nparams * sizeof *all);
	buf_puts(&b, "WITH d AS MATERIALIZED (SELECT d.* FROM ");
	put_lateral(&b, &old, f->key_select, "d");
	buf_puts(&b, "), ");
	put_kept_rows(&b, f, &bound);
	put_done(&b, f, &bound, "d, q", "d");
	buf_puts(&b, ", gone AS (DELETE FROM ");
	put_target(&b, f);
	buf_puts(&b, " AS t USING d WHERE NOT EXISTS (SELECT FROM q) AND ");
	put_key_match(&b, f, "d");
	buf_putc(&b, ')');
	put_guard(a, &b, f);
	struct binding both = { .nparams = old.nparams + bound.nparams, .params = all };
	name_statement(a, f, "move", &b, &both, &out->move);
}

static void make_remove(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind(a, f, f->key_reads.column, false);
	struct buf b = BUF_INIT;

	buf_puts(&b, "DELETE FROM ");
	put_target(&b, f);
	buf_puts(&b, " AS t USING (");
	put_old(&b, &bound, "");
	buf_printf(&b, "SELECT k.* FROM (\n%s\n) k) d WHERE ", f->key_select);
	put_key_match(&b, f, "d");
	name_statement(a, f, "remove", &b, &bound, &out->remove);
}

/* What = takes for equal may still be another value: 1.0 and 1.00. */
static void put_same_text(struct buf *b, const struct catalog_column *c)
{
	buf_puts(b, " AND n.");
	buf_ident(b, c->name);
	buf_puts(b, "::text IS NOT DISTINCT FROM q.");
	buf_ident(b, c->name);
	buf_printf(b, "::%s::text", stored_type(c));
}

/* n."a" = q."a"::int AND n."note" IS NOT DISTINCT FROM ... */
static void put_row_match(struct buf *b, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		const struct catalog_column *c = flow_target(f, i);
		const char *text = c->comparable ? "" : "::text";
		buf_puts(b, i ? " AND n." : "n.");
		buf_ident(b, c->name);
		buf_printf(b, "%s %s q.", text, c->not_null ? "=" : "IS NOT DISTINCT FROM");
		buf_ident(b, c->name);
		buf_printf(b, "::%s%s", stored_type(c), text);
		if (c->comparable && !c->exact)
			put_same_text(b, c);
	}
}

/* Without a key one row that is the same as the old one goes; which of several does not matter. */
static void make_remove_equal(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	buf_puts(&b, "DELETE FROM ");
	put_target(&b, f);
	/* a ctid is unique in one partition */
	buf_puts(&b, catalog_partitioned(f->to)
			 ? " WHERE (tableoid, ctid) = (SELECT n.tableoid, n.ctid FROM "
			 : " WHERE ctid = (SELECT n.ctid FROM ");
	put_target(&b, f);
	buf_puts(&b, " AS n, (");
	put_old(&b, &bound, "");
	buf_printf(&b, "SELECT s.* FROM (\n%s\n) s) q WHERE ", f->query->text);
	put_row_match(&b, f);
	buf_puts(&b, " LIMIT 1)");
	name_statement(a, f, "remove", &b, &bound, &out->remove);
}

/* Of the batch's keys, those that no row of the batch still brings. */
static void make_leave(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind(a, f, f->row_reads.column, false);
	struct buf b = BUF_INIT;

	put_old(&b, &bound, "MATERIALIZED ");
	buf_puts(&b, "DELETE FROM ");
	put_target(&b, f);
	buf_printf(&b, " AS t USING (\n%s\n) d WHERE ", f->key_select);
	put_key_match(&b, f, "d");
	buf_printf(&b, " AND NOT EXISTS (SELECT FROM (\n%s\n) q WHERE ", f->row_select);
	for (unsigned i = 0; i < f->def->key.count; i++) {
		const struct catalog_column *c = flow_target(f, f->key[i]);
		buf_puts(&b, i ? " AND q." : "q.");
		buf_ident(&b, c->name);
		buf_printf(&b, "::%s = d.", stored_type(c));
		buf_ident(&b, c->name);
		buf_printf(&b, "::%s", stored_type(c));
	}
	buf_putc(&b, ')');
	name_statement(a, f, "leave", &b, &bound, &out->leave);
}

static void make_clear(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "DELETE FROM ");
	put_target(&b, f);
	name_statement(a, f, "clear", &b, NULL, &out->clear);
}

void sql_apply(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	bool keyed = f->def->key.count > 0;

	make_inserts(a, f, out);
	make_clear(a, f, out);
	if (f->def->insert_only)
		return;
	if (keyed)
		make_remove(a, f, out);
	else
		make_remove_equal(a, f, out);
	if (keyed && f->query->filtered)
		make_leave(a, f, out);
	if (keyed && f->keeps) {
		make_update(a, f, out);
		if (!flow_key_fixed(f))
			make_move(a, f, out);
	}
}

const char *sql_select(struct arena *a, const struct flow *f)
{
	struct binding bound = bind(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	put_old(&b, &bound, "");
	buf_printf(&b, "SELECT q.* FROM (\n%s\n) q", f->query->text);
	return sql_text(a, &b);
}

const char *sql_insert_one(struct arena *a, const struct flow *f, unsigned output)
{
	struct binding bound = bind(a, f, f->query->reads, false);
	const char *name = f->query->outputs[output].name;
	struct buf b = BUF_INIT;

	buf_puts(&b, "INSERT INTO ");
	put_target(&b, f);
	buf_puts(&b, " (");
	buf_ident(&b, name);
	buf_puts(&b, ") OVERRIDING SYSTEM VALUE ");
	put_old(&b, &bound, "");
	buf_puts(&b, "SELECT q.");
	buf_ident(&b, name);
	buf_printf(&b, " FROM (\n%s\n) q", f->query->text);
	return sql_text(a, &b);
}
