/*
 * A lookup flow only adds rows. What is there already is left out before the INSERT, so that
 * neither its sequence moves nor a lock is taken; what another connection adds meanwhile is
 * left to ON CONFLICT. Rows go in by the order of the key, so that two writers wait for each
 * other one way only.
 */
#include "transform/sql_parts.h"

#include "pg/quote.h"

void sql_put_lookup(struct buf *b, const struct flow *f)
{
	struct match m = { "t", "q", f->def->key.count, f->key };

	buf_puts(b, "SELECT ");
	sql_put_outputs(b, f);
	buf_printf(b, " FROM (\n%s\n) q WHERE NOT EXISTS (SELECT FROM ", f->query->text);
	sql_put_target(b, f);
	buf_puts(b, " AS t WHERE ");
	sql_put_match(b, f, &m);
	buf_puts(b, ") ORDER BY ");
	for (unsigned i = 0; i < f->def->key.count; i++) {
		const struct catalog_column *c = flow_target(f, f->key[i]);
		buf_puts(b, i ? ", q." : "q.");
		buf_ident(b, c->name);
		buf_printf(b, "::%s", sql_stored_type(c));
	}
	sql_put_conflict_target(b, f);
	buf_puts(b, " DO NOTHING");
}

void sql_lookup(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	sql_put_insert_into(&b, f);
	sql_put_cte(&b, &bound, "");
	sql_put_lookup(&b, f);
	sql_name(a, f, "upsert", &b, &bound, &out->upsert);
	out->insert = out->upsert;
	out->insert.name = arena_printf(a, "f%u_insert", f->no);
	out->insert.one_name = arena_printf(a, "f%u_insert_one", f->no);
}
