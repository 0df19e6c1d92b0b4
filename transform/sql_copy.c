/* What a chunk of the copy runs, and how a table is cut into chunks. */
#include "transform/sql_parts.h"

#include "pg/quote.h"

#include <stdio.h>

static bool read_by(const struct flow *f, unsigned column)
{
	return f->query->reads[column];
}

/* "id", "amount" */
static void put_reads(struct buf *b, const struct flow *f)
{
	const char *separator = "";

	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		if (!read_by(f, i))
			continue;
		buf_puts(b, separator);
		buf_ident(b, f->from->columns[i].name);
		separator = ", ";
	}
}

/*
 * SELECT "id", "word" COLLATE "default" AS "word" FROM ONLY "public"."t" WHERE, up to the chunk's
 * predicate. A value of the stream has its type's collation, and the SELECT must mean the same.
 */
static void put_source(struct buf *b, const struct flow *f)
{
	const char *separator = "SELECT ";

	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		const struct catalog_column *c = &f->from->columns[i];
		if (!read_by(f, i))
			continue;
		buf_puts(b, separator);
		buf_ident(b, c->name);
		if (catalog_own_collation(c)) {
			buf_printf(b, " COLLATE %s AS ", c->type_collation);
			buf_ident(b, c->name);
		}
		separator = ", ";
	}
	buf_puts(b, catalog_partitioned(f->from) ? " FROM " : " FROM ONLY ");
	buf_qualified(b, f->from->schema, f->from->name);
	buf_puts(b, " WHERE ");
}

/* The outer SELECT: COPY's text must be what an INSERT's assignment would have stored. */
static void put_cast_outputs(struct buf *b, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		buf_puts(b, i ? ", q." : "q.");
		buf_ident(b, f->query->outputs[i].name);
		if (f->copy_casts && f->copy_casts[i])
			buf_printf(b, "::%s", flow_target(f, i)->bare_type);
	}
}

void sql_put_rows(struct buf *b, const struct flow *f)
{
	buf_puts(b, " FROM (WITH old AS (");
	put_source(b, f);
	buf_printf(b, "true) SELECT s.* FROM (\n%s\n) s) q", f->query->text);
}

/* The end of each COPY: both sides speak one format. */
static const char *copy_format(const struct flow *f)
{
	return f->copy_binary ? " (FORMAT binary)" : "";
}

static void copy_at_source(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "COPY (WITH old AS (");
	put_source(&b, f);
	out->copy_out[0] = sql_text(a, &b);
	buf_puts(&b, ") SELECT ");
	put_cast_outputs(&b, f);
	buf_printf(&b, " FROM (\n%s\n) q) TO STDOUT%s", f->query->text, copy_format(f));
	out->copy_out[1] = sql_text(a, &b);
	buf_puts(&b, "COPY ");
	buf_qualified(&b, f->to->schema, f->to->name);
	buf_puts(&b, " (");
	sql_put_target_columns(&b, f);
	buf_printf(&b, ") FROM STDIN%s", copy_format(f));
	out->copy_in = sql_text(a, &b);
}

static void put_stage_table(struct buf *b, const char *stage, const struct flow *f)
{
	const char *separator = "";

	buf_printf(b, "CREATE TEMP TABLE IF NOT EXISTS %s (", stage);
	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		if (!read_by(f, i))
			continue;
		buf_puts(b, separator);
		buf_ident(b, f->from->columns[i].name);
		buf_printf(b, " %s", f->from->columns[i].bare_type);
		separator = ", ";
	}
	buf_puts(b, ") ON COMMIT DELETE ROWS");
}

/* Raw rows to a temporary table of the target, and the SELECT there. */
static void copy_by_stage(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	const char *stage = arena_printf(a, "pgcrossfade_stage_%u", f->no);
	struct buf b = BUF_INIT;

	put_stage_table(&b, stage, f);
	out->stage_create = sql_text(a, &b);
	buf_puts(&b, "COPY (");
	put_source(&b, f);
	out->copy_out[0] = sql_text(a, &b);
	out->copy_out[1] = arena_printf(a, ") TO STDOUT%s", copy_format(f));
	buf_printf(&b, "COPY pg_temp.%s (", stage);
	put_reads(&b, f);
	buf_printf(&b, ") FROM STDIN%s", copy_format(f));
	out->copy_in = sql_text(a, &b);
	sql_put_insert_into(&b, f);
	buf_puts(&b, "WITH old AS (SELECT ");
	put_reads(&b, f);
	buf_printf(&b, " FROM pg_temp.%s) SELECT ", stage);
	sql_put_outputs(&b, f);
	buf_printf(&b, " FROM (\n%s\n) q", f->query->text);
	out->stage_insert = sql_text(a, &b);
}

static void copy_inside(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct buf b = BUF_INIT;

	sql_put_insert_into(&b, f);
	buf_puts(&b, "WITH old AS (");
	put_source(&b, f);
	out->insert_select[0] = sql_text(a, &b);
	buf_puts(&b, ") SELECT ");
	sql_put_outputs(&b, f);
	buf_printf(&b, " FROM (\n%s\n) q", f->query->text);
	out->insert_select[1] = sql_text(a, &b);
}

void sql_copy(struct arena *a, const struct flow *f, bool one_database, struct flow_plan *out)
{
	if (f->at_source)
		copy_at_source(a, f, out);
	else
		copy_by_stage(a, f, out);
	if (one_database)
		copy_inside(a, f, out);
}

void sql_stored(struct arena *a, const struct table_plan *table, struct flow_plan *out)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "SELECT ");
	for (unsigned i = 0; i < out->nstored; i++) {
		buf_puts(&b, i ? ", " : "");
		buf_ident(&b, table->columns[out->stored[i]].name);
	}
	buf_printf(&b, " FROM %s WHERE ", table->from);
	out->stored_select[0] = sql_text(a, &b);
	out->stored_select[1] = "";
}

const char *sql_output_types(struct arena *a, const struct flow *f)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "SELECT ");
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		buf_puts(&b, i ? ", pg_typeof(q." : "pg_typeof(q.");
		buf_ident(&b, f->query->outputs[i].name);
		buf_puts(&b, ")::oid");
	}
	buf_puts(&b, " FROM (SELECT) one LEFT JOIN (WITH old AS (");
	put_source(&b, f);
	buf_printf(&b, "false) SELECT s.* FROM (\n%s\n) s) q ON true", f->query->text);
	return sql_text(a, &b);
}

/* --- chunks --- */

/* b0, b1 or k.b0 with any text in front of the number */
static void put_numbered(struct buf *b, const char *prefix, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		buf_printf(b, "%s%s%u", i ? ", " : "", prefix, i);
}

/* The first key of each of $2 equal parts of a sample, but the first part's. */
static const char *sample_sql(struct arena *a, const struct table_plan *t)
{
	unsigned n = t->chunk.nkey;
	struct buf b = BUF_INIT;

	buf_puts(&b, "WITH sample AS (SELECT ");
	for (unsigned i = 0; i < n; i++) {
		buf_ident(&b, t->columns[t->chunk.key[i]].name);
		buf_printf(&b, " AS b%u, ", i);
	}
	buf_puts(&b, "ntile($2::int) OVER (ORDER BY ");
	for (unsigned i = 0; i < n; i++) {
		buf_puts(&b, i ? ", " : "");
		buf_ident(&b, t->columns[t->chunk.key[i]].name);
	}
	buf_printf(&b, ") AS part FROM %s TABLESAMPLE SYSTEM ($1::float4)), ", t->from);
	buf_puts(&b, "first AS (SELECT part, ");
	put_numbered(&b, "b", n);
	buf_puts(&b, ", row_number() OVER (PARTITION BY part ORDER BY ");
	put_numbered(&b, "b", n);
	buf_puts(&b, ") AS place FROM sample) SELECT ");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "%sb%u::text", i ? ", " : "", i);
	buf_puts(&b, " FROM first WHERE place = 1 AND part > 1 GROUP BY ");
	put_numbered(&b, "b", n);
	buf_puts(&b, " ORDER BY "); /* by value: a bare b0 would be the output's text */
	put_numbered(&b, "first.b", n);
	return sql_text(a, &b);
}

void sql_put_key(struct buf *b, const char *text, const struct plan_column *c)
{
	enum { NAME = 19, TEXT = 25, BPCHAR = 1042, VARCHAR = 1043 };

	if (c->type_oid == NAME || c->type_oid == TEXT || c->type_oid == BPCHAR ||
	    c->type_oid == VARCHAR)
		buf_printf(b, "(%s::%s) COLLATE \"C\"", text, c->type);
	else
		buf_printf(b, "(ARRAY[%s]::text::%s[])[1]", text, c->type);
}

/* The texts are k.c0, k.c1; or d.lo[1], d.lo[2]. */
static void put_keys(struct buf *b, const struct table_plan *t, const char *form, unsigned first)
{
	for (unsigned i = 0; i < t->chunk.nkey; i++) {
		char text[24];
		snprintf(text, sizeof text, form, first + i);
		buf_puts(b, ", ");
		sql_put_key(b, text, &t->columns[t->chunk.key[i]]);
		buf_printf(b, " AS c%u", i);
	}
}

static void put_judge_keys(struct buf *b, const struct statement *s, const struct table_plan *t)
{
	buf_puts(b, "SELECT k.ord");
	put_keys(b, t, "k.c%u", 0);
	buf_puts(b, " FROM unnest(");
	for (unsigned i = 0; i < s->nparams; i++)
		buf_printf(b, "%s$%u::text[]", i ? ", " : "", i + 1);
	buf_puts(b, ") WITH ORDINALITY AS k(");
	put_numbered(b, "c", s->nparams);
	buf_puts(b, ", ord)");
}

/*
 * Keys and the chunks' lower bounds are sorted together once: the number of bounds up to
 * and with a key is its chunk's number. The first chunk has no lower bound.
 */
static const char *judge_sql(struct arena *a, const char *migration, const struct table_plan *t)
{
	const struct statement *s = &t->chunk.judge;
	struct buf b = BUF_INIT;

	buf_puts(&b, "WITH chunk AS (SELECT row_number() OVER (ORDER BY c.no) - 1 AS slot, c.lo, "
		     "d.lg FROM pgcrossfade.chunk c LEFT JOIN pgcrossfade.chunk_copied d "
		     "USING (migration, relation, no) WHERE c.migration = ");
	buf_literal(&b, migration);
	buf_puts(&b, " AND c.relation = ");
	buf_literal(&b, t->label);
	buf_puts(&b,
		 "), place AS (SELECT ord, count(*) FILTER (WHERE ord IS NULL) OVER (ORDER BY ");
	put_numbered(&b, "c", s->nparams);
	buf_puts(&b, ", ord NULLS FIRST ROWS UNBOUNDED PRECEDING) AS slot FROM (");
	put_judge_keys(&b, s, t);
	buf_puts(&b, " UNION ALL SELECT NULL");
	put_keys(&b, t, "d.lo[%u]", 1);
	buf_puts(&b, " FROM chunk d WHERE d.slot > 0) e) ");
	buf_puts(&b, "SELECT p.ord, chunk.lg::text FROM place p JOIN chunk USING (slot) "
		     "WHERE p.ord IS NOT NULL ORDER BY p.ord");
	return sql_text(a, &b);
}

void sql_chunk(struct arena *a, const char *migration, unsigned no, struct table_plan *table)
{
	struct param *params = arena_array(a, table->chunk.nkey, sizeof *params);
	struct statement *s = &table->chunk.judge;

	if (table->chunk.nkey == 0)
		return;
	for (unsigned i = 0; i < table->chunk.nkey; i++)
		params[i] = (struct param){ PARAM_VALUE, table->chunk.key[i], WIRE_TEXT };
	s->name = arena_printf(a, "t%u_judge", no);
	s->nparams = table->chunk.nkey;
	s->params = params;
	s->sql = judge_sql(a, migration, table);
	table->chunk.sample = sample_sql(a, table);
}
