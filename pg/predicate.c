#include "pg/predicate.h"

#include "pg/quote.h"

static bool bounded(const char *const *bound)
{
	return bound && bound[0];
}

/* ROW("a", "b"); the bare column where there is one: the plainest form for the planner */
static void put_key(const struct table_plan *t, struct buf *out)
{
	if (t->chunk.nkey != 1)
		buf_puts(out, "ROW(");
	for (unsigned i = 0; i < t->chunk.nkey; i++) {
		buf_puts(out, i ? ", " : "");
		buf_ident(out, t->columns[t->chunk.key[i]].name);
	}
	if (t->chunk.nkey != 1)
		buf_putc(out, ')');
}

static void put_bound(const struct table_plan *t, const char *const *bound, struct buf *out)
{
	if (t->chunk.nkey != 1)
		buf_puts(out, "ROW(");
	for (unsigned i = 0; i < t->chunk.nkey; i++) {
		buf_puts(out, i ? ", " : "");
		buf_literal(out, bound[i]);
		buf_printf(out, "::%s", t->columns[t->chunk.key[i]].type);
	}
	if (t->chunk.nkey != 1)
		buf_putc(out, ')');
}

static void put_side(const struct table_plan *t, const char *op, const char *const *bound,
		     struct buf *out)
{
	if (t->chunk.nkey == 0) {
		buf_printf(out, "ctid %s ", op);
		buf_literal(out, bound[0]);
		buf_puts(out, "::tid");
		return;
	}
	put_key(t, out);
	buf_printf(out, " %s ", op);
	put_bound(t, bound, out);
}

void chunk_predicate(const struct table_plan *table, const char *const *lo, const char *const *hi,
		     struct buf *out)
{
	if (bounded(lo))
		put_side(table, ">=", lo, out);
	if (bounded(lo) && bounded(hi))
		buf_puts(out, " AND ");
	if (bounded(hi))
		put_side(table, "<", hi, out);
	if (!bounded(lo) && !bounded(hi))
		buf_puts(out, "true");
}
