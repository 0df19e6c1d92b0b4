/*
 * A flow that makes several rows of one old row. They are found by their owner columns, and
 * replaced together: those that the new row no longer brings go (leave), the others are
 * written (upsert). Where the value that the rows are made from did not change, and so was
 * not sent, the rows stay and only what does not read it is set (update, move).
 */
#include "transform/sql_parts.h"

#include "pg/quote.h"

#define COUNT_NAME "\"pgcrossfade count\""

/* The outputs that name one row: the owner's, and the key's. */
static struct match row_match(struct arena *a, const struct flow *f, const char *held,
			      const char *given)
{
	unsigned *outputs = arena_array(a, f->nfound + f->def->key.count, sizeof *outputs);
	struct match m = { held, given, 0, outputs };

	for (unsigned i = 0; i < f->nfound; i++)
		outputs[m.count++] = f->found[i];
	for (unsigned i = 0; i < f->def->key.count; i++)
		if (!flow_is_found(f, f->key[i]))
			outputs[m.count++] = f->key[i];
	return m;
}

static bool in_match(const struct match *m, unsigned output)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->outputs[i] == output)
			return true;
	return false;
}

/* q AS (the rows, and how many there are of each name: one, unless the SELECT is wrong) */
static void put_counted_rows(struct buf *b, const struct flow *f, const struct match *m)
{
	buf_puts(b, "q AS MATERIALIZED (SELECT q.*, count(*) OVER (PARTITION BY ");
	for (unsigned i = 0; i < m->count; i++) {
		const struct catalog_column *c = flow_target(f, m->outputs[i]);
		buf_puts(b, i ? ", " : "");
		sql_put_given(b, "q", c);
	}
	buf_printf(b, ") AS " COUNT_NAME " FROM (\n%s\n) q)", f->query->text);
}

/* , done AS (UPDATE ...): a statement that modifies runs to its end, read or not. */
static void put_done(struct buf *b, const struct flow *f, const struct match *m)
{
	const char *separator = "";

	if (f->query->noutputs == m->count)
		return;
	buf_puts(b, ", done AS (UPDATE ");
	sql_put_target(b, f);
	buf_puts(b, " AS t SET ");
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		if (in_match(m, i))
			continue;
		buf_puts(b, separator);
		buf_ident(b, f->query->outputs[i].name);
		buf_puts(b, " = q.");
		buf_ident(b, f->query->outputs[i].name);
		separator = ", ";
	}
	buf_puts(b, " FROM q WHERE ");
	sql_put_match(b, f, m);
	buf_putc(b, ')');
}

/* A second row of one name is inserted all the same, for the target's key to refuse it. */
void sql_put_split_upsert(struct buf *b, const struct flow *f, const struct binding *bound)
{
	struct arena scratch = ARENA_INIT;
	struct match m = row_match(&scratch, f, "t", "q");

	sql_put_cte(b, bound, "");
	buf_puts(b, ", ");
	put_counted_rows(b, f, &m);
	put_done(b, f, &m);
	buf_putc(b, ' ');
	sql_put_insert_into(b, f);
	buf_puts(b, "SELECT ");
	sql_put_outputs(b, f);
	buf_puts(b, " FROM q WHERE q." COUNT_NAME " > 1 OR NOT EXISTS (SELECT FROM ");
	sql_put_target(b, f);
	buf_puts(b, " AS t WHERE ");
	sql_put_match(b, f, &m);
	buf_putc(b, ')');
	arena_finish(&scratch);
}

static bool key_holds_owner(const struct flow *f)
{
	for (unsigned i = 0; i < f->nfound; i++)
		if (!flow_in_key(f, f->found[i]))
			return false;
	return true;
}

/* Without key the owner's rows are gone by then (leave). */
static void make_upserts(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->query->reads, false);
	struct buf b = BUF_INIT;

	sql_put_insert(&b, f, &bound);
	sql_name(a, f, "insert", &b, &bound, &out->insert);
	if (f->def->key.count && (f->generates || !key_holds_owner(f))) {
		sql_put_split_upsert(&b, f, &bound);
	} else {
		sql_put_insert(&b, f, &bound);
		if (f->def->key.count)
			sql_put_conflict(&b, f);
	}
	sql_name(a, f, "upsert", &b, &bound, &out->upsert);
}

/* Of the owners' rows, those that the batch no longer brings; without key all. */
static void make_leave(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	bool keyed = f->def->key.count > 0;
	struct binding bound =
	    bind_row(a, f, keyed ? f->row_reads.column : f->key_reads.column, false);
	struct match m = row_match(a, f, "t", "q");
	struct buf b = BUF_INIT;

	sql_put_cte(&b, &bound, "MATERIALIZED ");
	buf_puts(&b, "DELETE FROM ");
	sql_put_target(&b, f);
	buf_printf(&b, " AS t USING (\n%s\n) d WHERE ", f->key_select);
	sql_put_found(&b, f, "d");
	if (keyed) {
		buf_printf(&b, " AND NOT EXISTS (SELECT FROM (\n%s\n) q WHERE ", f->row_select);
		sql_put_match(&b, f, &m);
		buf_putc(&b, ')');
	}
	sql_name(a, f, "leave", &b, &bound, &out->leave);
}

/* "a" = q."a", ...: what does not read the kept value. False: there is nothing to set. */
static bool put_stays(struct buf *b, const struct flow *f, bool with_owner)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->nstays; i++) {
		const char *name = f->query->outputs[f->stays[i]].name;
		if (flow_is_found(f, f->stays[i]) && !with_owner)
			continue;
		buf_puts(b, count++ ? ", " : "");
		buf_ident(b, name);
		buf_puts(b, " = q.");
		buf_ident(b, name);
	}
	return count > 0;
}

static void make_update(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding bound = bind_row(a, f, f->stay_reads.column, false);
	struct buf b = BUF_INIT, set = BUF_INIT;

	sql_put_cte(&b, &bound, "");
	if (put_stays(&set, f, false)) {
		buf_puts(&b, "UPDATE ");
		sql_put_target(&b, f);
		buf_printf(&b, " AS t SET %s FROM (\n%s\n) q WHERE ", buf_str(&set),
			   f->stay_select);
		sql_put_found(&b, f, "q");
	} else {
		buf_puts(&b, "SELECT FROM old WHERE false");
	}
	buf_free(&set);
	sql_name(a, f, "update", &b, &bound, &out->update);
}

/* One row's: the old owner's parameters come first, under an alias of their own. */
static void make_move(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	struct binding old = bind_row(a, f, f->key_reads.column, false);
	struct binding bound = bind_row(a, f, f->stay_reads.column, false);
	struct binding both = bind_both(a, &old, &bound);
	struct buf b = BUF_INIT;

	buf_puts(&b, "WITH d AS MATERIALIZED (SELECT d.* FROM ");
	sql_put_lateral(&b, &old, f->key_select, "d");
	buf_puts(&b, "), q AS MATERIALIZED (SELECT q.* FROM ");
	sql_put_lateral(&b, &bound, f->stay_select, "q");
	buf_puts(&b, ") UPDATE ");
	sql_put_target(&b, f);
	buf_puts(&b, " AS t SET ");
	put_stays(&b, f, true);
	buf_puts(&b, " FROM d, q WHERE ");
	sql_put_found(&b, f, "d");
	sql_name(a, f, "move", &b, &both, &out->move);
}

void sql_owner(struct arena *a, const struct flow *f, struct flow_plan *out)
{
	make_upserts(a, f, out);
	if (f->def->insert_only)
		return;
	sql_make_remove(a, f, out);
	make_leave(a, f, out);
	if (!f->keeps)
		return;
	make_update(a, f, out);
	if (!flow_key_fixed(f))
		make_move(a, f, out);
}
