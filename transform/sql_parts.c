/* The parts that a flow's statements are put together from. */
#include "transform/sql_parts.h"

#include "pg/quote.h"
#include "pg/wire.h"

const char *sql_text(struct arena *a, struct buf *b)
{
	const char *text = arena_strndup(a, buf_str(b), b->len);

	buf_free(b);
	return text;
}

/* --- parameters --- */

struct binding bind_row(struct arena *a, const struct flow *f, const bool *reads, bool keeps)
{
	struct param *params = arena_array(a, (size_t)f->from->ncolumns * 2, sizeof *params);
	struct binding b = { .flow = f, .alias = "u", .first = 1, .params = params };

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (reads[i])
			params[b.nparams++] =
			    (struct param){ PARAM_VALUE, i,
					    wire_of_type(f->from->columns[i].type_oid) };
	for (unsigned i = 0; keeps && i < f->from->ncolumns; i++)
		if (reads[i] && flow_keeps_column(f, i))
			params[b.nparams++] = (struct param){ PARAM_KEEP, i, WIRE_BOOL };
	return b;
}

struct binding bind_both(struct arena *a, const struct binding *first, struct binding *second)
{
	unsigned nparams = first->nparams + second->nparams;
	struct param *params = arena_array(a, nparams, sizeof *params);

	second->first = first->first + first->nparams;
	memcpy(params, first->params, first->nparams * sizeof *params);
	memcpy(params + first->nparams, second->params, second->nparams * sizeof *params);
	return (struct binding){ .first = first->first, .nparams = nparams, .params = params };
}

/* In the SELECT list they go side by side; in FROM each would be put aside as a whole first. */
static void put_bound(struct buf *b, const struct binding *bound)
{
	const char *form = bound->flow->one_row ? "%s $%u::%s" : "%s unnest($%u::%s[])";

	buf_puts(b, "(SELECT");
	for (unsigned i = 0; i < bound->nparams; i++)
		buf_printf(b, form, i ? "," : "", bound->first + i,
			   wire_name(bound->params[i].wire));
	buf_printf(b, ") AS %s(", bound->alias);
	for (unsigned i = 0; i < bound->nparams; i++)
		buf_printf(b, "%sc%u", i ? ", " : "", i);
	buf_putc(b, ')');
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
			buf_printf(b, "%s::%s", bound->flow->ways[p->column], c->bare_type);
		buf_puts(b, " AS ");
		buf_ident(b, c->name);
	}
}

void sql_put_cte(struct buf *b, const struct binding *bound, const char *materialized)
{
	buf_printf(b, "WITH old AS %s(", materialized);
	put_row(b, bound);
	buf_puts(b, " FROM ");
	put_bound(b, bound);
	buf_puts(b, ") ");
}

void sql_put_lateral(struct buf *b, const struct binding *bound, const char *select,
		     const char *name)
{
	put_bound(b, bound);
	buf_puts(b, ", LATERAL (WITH old AS (");
	put_row(b, bound);
	buf_printf(b, ") SELECT s.* FROM (\n%s\n) s) %s", select, name);
}

void sql_name(struct arena *a, const struct flow *f, const char *what, struct buf *sql,
	      const struct binding *bound, struct statement *out)
{
	const char *text = sql_text(a, sql);

	out->nparams = bound ? bound->nparams : 0;
	out->params = bound ? bound->params : NULL;
	if (f->one_row) {
		out->one_name = arena_printf(a, "f%u_%s_one", f->no, what);
		out->one = text;
	} else {
		out->name = arena_printf(a, "f%u_%s", f->no, what);
		out->sql = text;
	}
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

void sql_put_target(struct buf *b, const struct flow *f)
{
	buf_qualified(b, f->to->schema, f->to->name);
}

const char *sql_stored_type(const struct catalog_column *c)
{
	enum { BPCHAR = 1042, VARCHAR = 1043, BIT = 1560, VARBIT = 1562 };
	bool length = c->type_oid == BPCHAR || c->type_oid == VARCHAR || c->type_oid == BIT ||
		      c->type_oid == VARBIT;

	return length ? c->bare_type : c->type;
}

void sql_put_held(struct buf *b, const char *held, const struct catalog_column *c)
{
	buf_printf(b, "%s.", held);
	buf_ident(b, c->name);
	if (c->enum_type)
		buf_printf(b, "::%s", c->enum_type);
}

void sql_put_given(struct buf *b, const char *given, const struct catalog_column *c)
{
	buf_printf(b, "%s.", given);
	buf_ident(b, c->name);
	buf_printf(b, "::%s", sql_stored_type(c));
	if (c->enum_type)
		buf_printf(b, "::%s", c->enum_type);
	if (c->collation)
		buf_printf(b, " COLLATE %s", c->collation);
}

void sql_put_equals(struct buf *b, const struct catalog_column *c)
{
	if (c->equality)
		buf_printf(b, " OPERATOR(%s) ", c->equality);
	else
		buf_puts(b, " = ");
}

void sql_put_match(struct buf *b, const struct flow *f, const struct match *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct catalog_column *c = flow_target(f, m->outputs[i]);
		buf_puts(b, i ? " AND " : "");
		sql_put_held(b, m->held, c);
		sql_put_equals(b, c);
		sql_put_given(b, m->given, c);
	}
}

void sql_put_found(struct buf *b, const struct flow *f, const char *given)
{
	struct match m = { "t", given, f->nfound, f->found };

	sql_put_match(b, f, &m);
}

void sql_put_literals(struct buf *b, const struct flow *f)
{
	for (unsigned i = 0; i < f->nfound; i++) {
		const struct query_output *o = &f->query->outputs[f->found[i]];
		if (!o->constant)
			continue;
		buf_puts(b, " AND t.");
		buf_ident(b, o->name);
		buf_puts(b, " = ");
		if (*o->constant == '\'')
			buf_literal(b, o->constant + 1);
		else
			buf_puts(b, o->constant);
	}
}

void sql_put_insert_into(struct buf *b, const struct flow *f)
{
	buf_puts(b, "INSERT INTO ");
	sql_put_target(b, f);
	buf_puts(b, " (");
	sql_put_target_columns(b, f);
	buf_puts(b, ") ");
	sql_put_overriding(b, f);
}

void sql_put_insert(struct buf *b, const struct flow *f, const struct binding *bound)
{
	sql_put_insert_into(b, f);
	sql_put_cte(b, bound, "");
	buf_puts(b, "SELECT ");
	sql_put_outputs(b, f);
	buf_printf(b, " FROM (\n%s\n) q", f->query->text);
}

void sql_put_conflict_target(struct buf *b, const struct flow *f)
{
	buf_puts(b, " ON CONFLICT (");
	for (unsigned i = 0; i < f->def->key.count; i++) {
		buf_puts(b, i ? ", " : "");
		buf_ident(b, f->def->key.names[i]);
	}
	buf_putc(b, ')');
}

void sql_put_conflict(struct buf *b, const struct flow *f)
{
	const char *separator = " DO UPDATE SET ";

	sql_put_conflict_target(b, f);
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

void sql_put_old(struct arena *a, const struct flow *f, struct buf *b, struct statement *out)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);

	sql_put_cte(b, &bound, "");
	*out = (struct statement){ .nparams = bound.nparams, .params = bound.params };
}
