/* A TRUNCATE between the snapshots that chunks were copied under. */
#include "transform/sql_parts.h"

#include "pg/quote.h"

/* ROW((t."id"::int4)) or ROW((ARRAY[x.lo[1]]::text::int4[])[1]) */
static void put_key(struct buf *b, const struct table_plan *t, const struct flow *f,
		    const unsigned *outputs, const char *bound)
{
	struct buf value = BUF_INIT;

	buf_puts(b, "ROW(");
	for (unsigned i = 0; i < t->chunk.nkey; i++) {
		const struct plan_column *c = &t->columns[t->chunk.key[i]];
		buf_clear(&value);
		if (bound) {
			buf_printf(&value, "%s[%u]", bound, i + 1);
		} else {
			buf_puts(&value, "t.");
			buf_ident(&value, f->query->outputs[outputs[i]].name);
		}
		buf_puts(b, i ? ", " : "");
		if (bound || catalog_is_text(flow_target(f, outputs[i])))
			sql_put_key(b, buf_str(&value), c);
		else
			buf_printf(b, "(%s::%s)", buf_str(&value), c->type);
	}
	buf_putc(b, ')');
	buf_free(&value);
}

/* Chunks side by side are one range. */
static void put_ranges(struct buf *b, const char *migration, const struct table_plan *t)
{
	buf_puts(b, "WITH copied AS (SELECT c.no, c.lo, c.hi, c.no - row_number() OVER (ORDER BY "
		    "c.no) AS run FROM pgcrossfade.chunk c JOIN pgcrossfade.chunk_copied d USING "
		    "(migration, relation, no) WHERE c.migration = ");
	buf_literal(b, migration);
	buf_puts(b, " AND c.relation = ");
	buf_literal(b, t->label);
	buf_puts(b, " AND d.lg <= ($1::text[])[1]::pg_lsn), span AS (SELECT min(no) AS first, "
		    "max(no) AS last FROM copied GROUP BY run) ");
}

void sql_clear_copied(struct arena *a, const char *migration, const struct table_plan *t,
		      const struct flow *f, const unsigned *outputs, struct statement *out)
{
	static const struct param lsn = { PARAM_VALUE, 0, WIRE_TEXT };
	struct buf b = BUF_INIT;

	put_ranges(&b, migration, t);
	buf_puts(&b, "DELETE FROM ");
	sql_put_target(&b, f);
	buf_puts(&b, " AS t USING span s JOIN copied x ON x.no = s.first JOIN copied y ON y.no = "
		     "s.last WHERE (x.lo IS NULL OR ");
	put_key(&b, t, f, outputs, NULL);
	buf_puts(&b, " >= ");
	put_key(&b, t, f, outputs, "x.lo");
	buf_puts(&b, ") AND (y.hi IS NULL OR ");
	put_key(&b, t, f, outputs, NULL);
	buf_puts(&b, " < ");
	put_key(&b, t, f, outputs, "y.hi");
	buf_putc(&b, ')');
	sql_put_literals(&b, f);
	*out = (struct statement){ .name = arena_printf(a, "f%u_clear_copied", f->no),
				   .sql = sql_text(a, &b),
				   .nparams = 1,
				   .params = &lsn };
}
