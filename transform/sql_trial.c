/* The SELECT over bound rows, its outputs cast as their columns would have them; only counts come back. */
#include "transform/sql_parts.h"
#include "transform/trial.h"

#include "pg/quote.h"

/* Cast to these by hand a value would be cut to the length that an INSERT refuses. */
static const char *cast_type(const struct catalog_column *c)
{
	enum { BIT = 1560 };

	return c->type_oid == BIT ? "bit varying" : sql_stored_type(c);
}

static void put_stored(struct buf *b, const struct flow *f, const struct trial *t)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		buf_puts(b, i ? ", q." : "q.");
		buf_ident(b, f->query->outputs[i].name);
		buf_printf(b, "::%s AS ", cast_type(flow_target(f, i)));
		buf_ident(b, f->query->outputs[i].name);
	}
	for (unsigned i = 0; i < t->ntests; i++)
		if (t->tests[i].raw)
			buf_printf(b, ", %s AS \"pgcrossfade test %u\"", t->tests[i].raw, i);
}

/* A value that is not asked for is not computed: each is counted. */
static void put_counts(struct buf *b, const struct flow *f, const struct trial *t)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		buf_puts(b, i ? " + count(" : "count(");
		buf_ident(b, f->query->outputs[i].name);
		buf_putc(b, ')');
	}
	for (unsigned i = 0; i < t->ntests; i++)
		if (t->tests[i].raw)
			buf_printf(b, ", count(*) FILTER (WHERE \"pgcrossfade test %u\")", i);
		else
			buf_printf(b, ", count(*) FILTER (WHERE %s)", t->tests[i].cast);
}

/* A change of a row that the filter leaves out computes what finds it all the same. */
static void put_found(struct buf *b, const struct flow *f)
{
	buf_puts(b, ", (SELECT ");
	for (unsigned i = 0; i < f->nfound; i++) {
		buf_puts(b, i ? " + count(k." : "count(k.");
		buf_ident(b, f->query->outputs[f->found[i]].name);
		buf_printf(b, "::%s)", cast_type(flow_target(f, f->found[i])));
	}
	buf_printf(b, " FROM (\n%s\n) k)", f->key_select);
}

void sql_trial(struct arena *a, const struct trial *t, struct statement *out)
{
	const struct flow *f = t->flow;
	struct buf b = BUF_INIT;

	sql_put_old(a, f, &b, out);
	buf_puts(&b, "SELECT ");
	put_counts(&b, f, t);
	if (trial_finds(f))
		put_found(&b, f);
	buf_puts(&b, " FROM (SELECT ");
	put_stored(&b, f, t);
	buf_printf(&b, " FROM (\n%s\n) q) AS ", f->query->text);
	buf_ident(&b, f->to->name); /* as a CHECK of the table would name it */
	out->name = arena_printf(a, "f%u_trial", f->no);
	out->sql = sql_text(a, &b);
}

const char *sql_repeated(struct arena *a, const struct flow *f, unsigned n, const unsigned *outputs)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "SELECT count(*), coalesce(sum(n), 0), (array_agg(k))[1] FROM (SELECT "
		     "concat_ws(', ', ");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "%sk%u::text", i ? ", " : "", i);
	buf_puts(&b, ") AS k, count(*) AS n FROM (SELECT ");
	for (unsigned i = 0; i < n; i++) {
		buf_puts(&b, i ? ", q." : "q.");
		buf_ident(&b, f->query->outputs[outputs[i]].name);
		buf_printf(&b, "::%s AS k%u", cast_type(flow_target(f, outputs[i])), i);
	}
	sql_put_rows(&b, f);
	buf_puts(&b, ") r WHERE ");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "%sk%u IS NOT NULL", i ? " AND " : "", i);
	buf_puts(&b, " GROUP BY ");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "%sk%u", i ? ", " : "", i);
	buf_puts(&b, " HAVING count(*) > 1) d");
	return sql_text(a, &b);
}
