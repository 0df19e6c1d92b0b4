/*
 * The copy of a table whose flows join tables of the target. What they join is filled while
 * the chunks are copied, so that it must be read as it is now, and the chunk as it was under
 * the snapshot: the chunk's raw rows go to a temporary table first.
 */
#include "transform/sql_parts.h"

#include "pg/quote.h"

static void put_columns(struct buf *b, const struct table_plan *t, const bool *reads, bool types)
{
	const char *separator = "";

	for (unsigned i = 0; i < t->ncolumns; i++) {
		if (!reads[i])
			continue;
		buf_puts(b, separator);
		buf_ident(b, t->columns[i].name);
		if (types)
			buf_printf(b, " %s", t->columns[i].type);
		separator = ", ";
	}
}

static const char *insert_sql(struct arena *a, const struct flow *f, const struct table_plan *t,
			      const bool *reads, const char *stage)
{
	struct buf b = BUF_INIT;

	sql_put_insert_into(&b, f);
	buf_puts(&b, "WITH old AS (SELECT ");
	put_columns(&b, t, reads, false);
	buf_printf(&b, " FROM pg_temp.%s) ", stage);
	if (f->lookup) {
		sql_put_lookup(&b, f);
	} else {
		buf_puts(&b, "SELECT ");
		sql_put_outputs(&b, f);
		buf_printf(&b, " FROM (\n%s\n) q", f->query->text);
	}
	return sql_text(a, &b);
}

/* The stage is the chunk: what the predicate says of it holds for all of its rows. */
static const char *stored_sql(struct arena *a, const struct table_plan *t,
			      const struct flow_plan *p, const char *stage)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "SELECT ");
	for (unsigned i = 0; i < p->nstored; i++) {
		buf_puts(&b, i ? ", " : "");
		buf_ident(&b, t->columns[p->stored[i]].name);
	}
	buf_printf(&b, " FROM pg_temp.%s WHERE true OR (", stage);
	return sql_text(a, &b);
}

/* All that its flows read, that is kept of a refused row, and that tells the chunk. */
static const bool *stage_columns(struct arena *a, const struct table_plan *t)
{
	bool *set = arena_array(a, t->ncolumns, sizeof *set);

	for (unsigned i = 0; i < t->ncolumns; i++)
		set[i] = t->columns[i].read;
	for (unsigned i = 0; i < t->nflows; i++)
		for (unsigned k = 0; k < t->flows[i].nstored; k++)
			set[t->flows[i].stored[k]] = true;
	for (unsigned i = 0; i < t->chunk.nkey; i++)
		set[t->chunk.key[i]] = true;
	return set;
}

static void fill_sql(struct arena *a, bool one_database, const struct table_plan *t,
		     const bool *reads, const char *stage, struct stage_plan *out)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "INSERT INTO pg_temp.%s (", stage);
	put_columns(&b, t, reads, false);
	buf_puts(&b, ") ");
	if (!one_database) {
		buf_clear(&b);
		buf_puts(&b, "COPY (");
	}
	buf_puts(&b, "SELECT ");
	put_columns(&b, t, reads, false);
	buf_printf(&b, " FROM %s WHERE ", t->from);
	out->fill[0] = sql_text(a, &b);
	out->fill[1] = one_database ? "" : ") TO STDOUT";
	if (one_database)
		return;
	buf_printf(&b, "COPY pg_temp.%s (", stage);
	put_columns(&b, t, reads, false);
	buf_puts(&b, ") FROM STDIN");
	out->in = sql_text(a, &b);
}

/* A flow that may run at the source does so, unless source and target are one database. */
static bool staged(const struct flow *f, bool one_database)
{
	return f->joins || f->lookup || one_database || !f->at_source;
}

static bool wanted(const struct flow *flows, unsigned nflows, const struct table_plan *t)
{
	for (unsigned i = 0; i < nflows; i++)
		if (flows[i].from->oid == t->oid && (flows[i].joins || flows[i].lookup))
			return true;
	return false;
}

void sql_stage(struct plan *plan, const struct flow *flows, unsigned nflows, unsigned table)
{
	struct table_plan *t = &plan->tables[table];
	const char *stage = arena_printf(plan->arena, "pgcrossfade_stage_t%u", table);
	const bool *reads = stage_columns(plan->arena, t);
	struct buf b = BUF_INIT;

	if (!wanted(flows, nflows, t))
		return;
	for (unsigned i = 0, n = 0; i < nflows; i++) {
		if (flows[i].from->oid != t->oid)
			continue;
		if (staged(&flows[i], plan->one_database)) {
			struct flow_plan *p = &t->flows[n];
			p->stage = &t->stage;
			p->stage_insert = insert_sql(plan->arena, &flows[i], t, reads, stage);
			p->stored_select[0] = stored_sql(plan->arena, t, p, stage);
			p->stored_select[1] = ")";
		}
		n++;
	}
	buf_printf(&b, "CREATE TEMP TABLE IF NOT EXISTS %s (", stage);
	put_columns(&b, t, reads, true);
	buf_putc(&b, ')');
	t->stage.create = sql_text(plan->arena, &b);
	t->stage.clear = arena_printf(plan->arena, "TRUNCATE pg_temp.%s", stage);
	fill_sql(plan->arena, plan->one_database, t, reads, stage, &t->stage);
}
