#include "snapshot/judge.h"

#include "core/binding.h"
#include "pg/array.h"
#include "pg/ledger.h"
#include "pg/pipe.h"

#include <stdlib.h>

/* Of one table: the LSNs its chunks were copied under. */
struct span {
	lsn_t lowest, highest;
	bool prepared;
};

struct judge {
	const struct plan *plan;
	struct pg *target;
	struct arena arena;
	struct bindings bindings;
	struct span *spans; /* plan->ntables */
	lsn_t consistent;
};

static bool load_span(struct judge *j, unsigned table, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct ledger_chunk *chunks;
	unsigned count = 0;
	bool ok = ledger_chunks(j->target, j->plan->migration, j->plan->tables[table].label,
				&scratch, &chunks, &count, e);

	for (unsigned i = 0; ok && i < count; i++) {
		struct span *s = &j->spans[table];
		s->lowest = i == 0 || chunks[i].lg < s->lowest ? chunks[i].lg : s->lowest;
		s->highest = chunks[i].lg > s->highest ? chunks[i].lg : s->highest;
	}
	if (j->spans[table].highest > j->consistent)
		j->consistent = j->spans[table].highest;
	arena_finish(&scratch);
	return ok;
}

bool judge_create(const struct plan *plan, struct pg *target, struct judge **out, struct err *e)
{
	struct judge *j = xcalloc(1, sizeof *j);
	bool ok = true;

	j->plan = plan;
	j->target = target;
	j->bindings = (struct bindings){ plan, &j->arena, NULL };
	j->spans = xcalloc(plan->ntables, sizeof *j->spans);
	for (unsigned i = 0; ok && i < plan->ntables; i++)
		ok = load_span(j, i, e);
	if (ok)
		*out = j;
	else
		judge_destroy(j);
	return ok;
}

void judge_destroy(struct judge *j)
{
	if (!j)
		return;
	arena_finish(&j->arena);
	free(j->spans);
	free(j);
}

lsn_t judge_consistent_lsn(const struct judge *j)
{
	return j->consistent;
}

/* --- between lowest and highest: ask the ledger, a table's keys at a time --- */

/* The rows of one table in one transaction whose chunk decides. */
struct docket {
	struct table_plan *table;
	unsigned count, cap;
	const struct value **rows; /* plan order */
	bool *apply;               /* the verdicts */
};

static void docket_add(struct docket *d, const struct value *row)
{
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 64;
		d->rows = xrealloc(d->rows, d->cap * sizeof *d->rows);
		d->apply = xrealloc(d->apply, d->cap * sizeof *d->apply);
	}
	d->rows[d->count++] = row;
}

static bool put_keys(const struct docket *d, const struct param *p, struct buf *b, struct err *e)
{
	buf_clear(b);
	array_begin(b, p->wire, d->count);
	for (unsigned i = 0; i < d->count; i++)
		if (!array_text(b, p->wire, d->rows[i][p->column].text, e))
			return false;
	return true;
}

static bool read_verdicts(struct docket *d, const struct pg_result *r, lsn_t commit, struct err *e)
{
	if (pg_rows(r) != d->count)
		return err_set(e, ERR_INPUT, "%s: %u keys lie in %u chunks", d->table->label,
			       d->count, pg_rows(r));
	for (unsigned i = 0; i < d->count; i++)
		d->apply[i] = commit >= pg_lsn(r, i, 1);
	return true;
}

static bool docket_judge(struct judge *j, struct docket *d, lsn_t commit, struct err *e)
{
	const struct statement *s = &d->table->chunk.judge;
	struct span *span = &j->spans[d->table - j->plan->tables];
	struct buf *bufs = xcalloc(s->nparams, sizeof *bufs);
	struct bytes *arrays = xcalloc(s->nparams, sizeof *arrays);
	struct pg_result *r = NULL;
	bool ok = span->prepared || pg_prepare_arrays(j->target, s, e);

	span->prepared = ok;
	for (unsigned i = 0; ok && i < s->nparams; i++) {
		ok = put_keys(d, &s->params[i], &bufs[i], e);
		arrays[i] = buf_bytes(&bufs[i]);
	}
	ok = ok && pg_query_arrays(j->target, s, arrays, &r, e) && read_verdicts(d, r, commit, e);
	pg_result_free(r);
	for (unsigned i = 0; i < s->nparams; i++)
		buf_free(&bufs[i]);
	free(bufs);
	free(arrays);
	return ok || err_wrap(e, "find the chunks of changed rows of %s", d->table->label);
}

/* --- one transaction --- */

enum verdict { IN_COPY, APPLY, BY_CHUNK };

static enum verdict table_verdict(const struct span *s, lsn_t commit)
{
	if (commit >= s->highest)
		return APPLY;
	return commit < s->lowest ? IN_COPY : BY_CHUNK;
}

static bool key_same(const struct table_plan *t, const struct value *a, const struct value *b)
{
	for (unsigned i = 0; i < t->chunk.nkey; i++)
		if (!bytes_equal(a[t->chunk.key[i]].text, b[t->chunk.key[i]].text))
			return false;
	return true;
}

/* A change and what its images have to say. */
struct images {
	const struct value *before, *after; /* NULL: none, or after's key is before's */
};

static struct images images_of(const struct binding *b, const struct change *c, struct arena *a)
{
	struct images i = { NULL, NULL };

	if (c->kind != CHANGE_DELETE)
		i.after = binding_row(b, &c->after, a);
	if (c->has_before)
		i.before = binding_row(b, &c->before, a);
	if (i.before && i.after && key_same(b->table, i.before, i.after))
		i.before = NULL;
	return i;
}

static bool judge_truncate(const struct table_plan *t, struct err *e)
{
	return err_set(e, ERR_CONFIG,
		       "TRUNCATE of %s fell between the snapshots its chunks were copied under, "
		       "so that it cannot be told which copied rows it took; abort and start again",
		       t->label);
}

/* The binding of a change of this table, or NULL for any other change. */
static const struct binding *change_of(struct judge *j, const struct table_plan *t,
				       const struct change *c)
{
	const struct binding *b = c->relation ? bindings_find(&j->bindings, c->relation) : NULL;

	return b && b->table == t ? b : NULL;
}

static bool fill_docket(struct judge *j, struct transaction *t, struct docket *d, struct err *e)
{
	for (struct change *c = t->changes; c; c = c->next) {
		const struct binding *b = change_of(j, d->table, c);
		if (!b)
			continue;
		if (c->kind == CHANGE_TRUNCATE)
			return judge_truncate(d->table, e);
		struct images i = images_of(b, c, &t->arena);
		if (i.before)
			docket_add(d, i.before);
		if (i.after)
			docket_add(d, i.after);
	}
	return true;
}

static bool unchanged_left(const struct table_plan *t, const struct value *after)
{
	for (unsigned i = 0; i < t->ncolumns; i++)
		if (t->columns[i].read && after[i].kind == VALUE_UNCHANGED)
			return true;
	return false;
}

/* What is left of a change when each image has its verdict. NONE: drop it. */
static bool cut_change(const struct table_plan *t, struct change *c, const struct images *i,
		       bool before_applies, bool after_applies, bool *keep, struct err *e)
{
	*keep = before_applies || after_applies;
	if (!i->before || before_applies == after_applies)
		return true;
	if (before_applies) {
		c->kind = CHANGE_DELETE;
		return true;
	}
	if (unchanged_left(t, i->after))
		return err_set(
		    e, ERR_CONFIG,
		    "a row of %s moved from a copied chunk into one copied before, with a "
		    "TOASTed value that the stream did not repeat; abort, ALTER TABLE %s "
		    "REPLICA IDENTITY FULL, and start again",
		    t->label, t->quoted);
	c->kind = CHANGE_INSERT;
	c->has_before = false;
	return true;
}

static bool apply_verdicts(struct judge *j, struct transaction *t, const struct docket *d,
			   struct err *e)
{
	struct change **link = &t->changes;
	unsigned n = 0;

	while (*link) {
		struct change *c = *link;
		const struct binding *b = change_of(j, d->table, c);
		bool keep = true;
		if (b) {
			struct images i = images_of(b, c, &t->arena);
			bool before = i.before && d->apply[n++];
			bool after = i.after && d->apply[n++];
			if (!cut_change(b->table, c, &i, before, after, &keep, e))
				return false;
		}
		if (keep)
			link = &c->next;
		else
			*link = c->next;
		t->nchanges -= !keep;
	}
	t->tail = link;
	return true;
}

static void drop_changes(struct judge *j, struct transaction *t, const struct table_plan *table)
{
	struct change **link = &t->changes;

	while (*link) {
		if (!change_of(j, table, *link)) {
			link = &(*link)->next;
			continue;
		}
		*link = (*link)->next;
		t->nchanges--;
	}
	t->tail = link;
}

static bool filter_by_chunk(struct judge *j, struct transaction *t, struct table_plan *table,
			    struct err *e)
{
	struct docket d = { .table = table };
	bool ok = fill_docket(j, t, &d, e) &&
		  (d.count == 0 ||
		   (docket_judge(j, &d, t->commit_lsn, e) && apply_verdicts(j, t, &d, e)));

	free(d.rows);
	free(d.apply);
	return ok;
}

static bool filter_table(struct judge *j, struct transaction *t, unsigned table, struct err *e)
{
	struct table_plan *plan = &j->plan->tables[table];

	switch (table_verdict(&j->spans[table], t->commit_lsn)) {
	case APPLY:
		break;
	case IN_COPY:
		drop_changes(j, t, plan);
		break;
	case BY_CHUNK:
		return filter_by_chunk(j, t, plan, e);
	}
	return true;
}

/* present[i]: the transaction changes table i of the plan */
static void find_tables(struct judge *j, const struct transaction *t, bool *present)
{
	for (const struct change *c = t->changes; c; c = c->next) {
		const struct binding *b = c->relation ? bindings_find(&j->bindings, c->relation)
						      : NULL;
		if (b && b->table)
			present[b->table - j->plan->tables] = true;
	}
}

bool judge_filter(struct judge *j, struct transaction *t, struct err *e)
{
	bool ok = true;

	if (t->commit_lsn >= j->consistent)
		return true;
	bool *present = xcalloc(j->plan->ntables, sizeof *present);
	find_tables(j, t, present);
	for (unsigned i = 0; ok && i < j->plan->ntables; i++)
		ok = !present[i] || filter_table(j, t, i, e);
	free(present);
	return ok;
}
