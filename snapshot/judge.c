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
	struct reread *reread;
	const struct relation **whole; /* plan->ntables; of rows read again */
	lsn_t early, wants_early;
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
	arena_finish(&scratch);
	return ok;
}

bool judge_create(const struct reread_options *options, struct judge **out, struct err *e)
{
	const struct plan *plan = options->plan;
	struct judge *j = xcalloc(1, sizeof *j);
	bool ok = reread_create(options, &j->reread, e);

	j->plan = plan;
	j->target = options->target;
	j->early = options->early;
	j->bindings = (struct bindings){ plan, &j->arena, NULL };
	j->spans = xcalloc(plan->ntables, sizeof *j->spans);
	j->whole = xcalloc(plan->ntables, sizeof(void *));
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
	reread_destroy(j->reread);
	arena_finish(&j->arena);
	free(j->whole);
	free(j->spans);
	free(j);
}

/* Of a table: also rows that were read again are part of its copy. */
static lsn_t highest(const struct judge *j, unsigned table)
{
	lsn_t chunks = j->spans[table].highest;
	lsn_t rows = reread_highest(j->reread, &j->plan->tables[table]);

	return chunks > rows ? chunks : rows;
}

lsn_t judge_consistent_lsn(const struct judge *j)
{
	lsn_t lsn = 0;

	for (unsigned i = 0; i < j->plan->ntables; i++)
		if (highest(j, i) > lsn)
			lsn = highest(j, i);
	return lsn;
}

lsn_t judge_wants_early(const struct judge *j)
{
	return j->wants_early;
}

/* --- between lowest and highest: ask the ledger, a table's keys at a time --- */

/* Rows of one table whose chunk decides, in the order in which they are judged. */
struct docket {
	struct table_plan *table;
	lsn_t until;               /* rows of transactions before it are in here */
	unsigned count, cap, next; /* next: the verdict to be read */
	const struct value **rows; /* plan order */
	lsn_t *lgs;                /* that their chunks were copied under */
};

static void docket_add(struct docket *d, const struct value *row)
{
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 64;
		d->rows = xrealloc(d->rows, d->cap * sizeof *d->rows);
		d->lgs = xrealloc(d->lgs, d->cap * sizeof *d->lgs);
	}
	d->rows[d->count++] = row;
}

static bool put_keys(const struct docket *d, const struct param *p, struct buf *b, struct err *e)
{
	buf_clear(b);
	array_begin(b, p->wire, d->count);
	for (unsigned i = 0; i < d->count; i++)
		if (!wire_text(b, p->wire, d->rows[i][p->column].text, e))
			return false;
	return true;
}

static bool read_lgs(struct docket *d, const struct pg_result *r, struct err *e)
{
	if (pg_rows(r) != d->count)
		return err_set(e, ERR_INPUT, "%s: %u keys lie in %u chunks", d->table->label,
			       d->count, pg_rows(r));
	for (unsigned i = 0; i < d->count; i++)
		d->lgs[i] = pg_lsn(r, i, 1);
	return true;
}

static bool docket_ask(struct judge *j, struct docket *d, struct err *e)
{
	if (d->count == 0)
		return true;
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
	ok = ok && pg_query_arrays(j->target, s, arrays, &r, e) && read_lgs(d, r, e);
	pg_result_free(r);
	for (unsigned i = 0; i < s->nparams; i++)
		buf_free(&bufs[i]);
	free(bufs);
	free(arrays);
	return ok || err_wrap(e, "find the chunks of changed rows of %s", d->table->label);
}

/* --- one transaction --- */

enum verdict { IN_COPY, APPLY, BY_CHUNK };

static enum verdict table_verdict(const struct judge *j, unsigned table, lsn_t commit)
{
	if (commit >= highest(j, table))
		return APPLY;
	return commit < j->spans[table].lowest ? IN_COPY : BY_CHUNK;
}

static bool key_same(const struct table_plan *t, const struct value *a, const struct value *b)
{
	for (unsigned i = 0; i < t->chunk.nkey; i++)
		if (!bytes_equal(a[t->chunk.key[i]].text, b[t->chunk.key[i]].text))
			return false;
	for (unsigned i = 0; i < t->nkey; i++)
		if (!bytes_equal(a[t->key[i]].text, b[t->key[i]].text))
			return false;
	return true;
}

/* A change and what its images have to say. */
struct images {
	const struct value *before, *after; /* NULL: none, or after's key is before's */
	bool before_applies, after_applies;
};

static struct images images_of(const struct binding *b, const struct change *c, struct arena *a)
{
	struct images i = { NULL, NULL, false, false };

	if (c->kind != CHANGE_DELETE)
		i.after = binding_row(b, &c->after, a);
	if (c->has_before)
		i.before = binding_row(b, &c->before, a);
	if (i.before && i.after && key_same(b->table, i.before, i.after))
		i.before = NULL;
	return i;
}

/*
 * Rows that were copied under an LSN before the TRUNCATE go, rows of chunks that were copied
 * after it came after it: the applier is told by the old row, which a TRUNCATE has none of.
 */
static bool judge_truncate(const struct judge *j, const struct table_plan *t, struct change *c,
			   struct transaction *tr, struct err *e)
{
	char lsn[LSN_TEXT];
	struct value *until = arena_array(&tr->arena, 1, sizeof *until);
	const char *text = arena_strdup(&tr->arena, lsn_format(tr->commit_lsn, lsn));

	if (tr->commit_lsn < reread_highest(j->reread, t) || j->plan->rejects)
		return err_set(e, ERR_CONFIG,
			       "TRUNCATE of %s fell between the snapshots its chunks were copied "
			       "under, and %s; abort and start again",
			       t->label,
			       j->plan->rejects ? "rejects cannot be told by their chunk"
						: "a row of it was read again since");
	*until = (struct value){ VALUE_TEXT, { text, strlen(text) } };
	c->before.values = until;
	c->has_before = true;
	return true;
}

/* The binding of a change of this table, or NULL for any other change. */
static const struct binding *change_of(struct judge *j, const struct table_plan *t,
				       const struct change *c)
{
	const struct binding *b = c->relation ? bindings_find(&j->bindings, c->relation) : NULL;

	return b && b->table == t ? b : NULL;
}

static void collect(struct judge *j, struct docket *d, struct transaction *t)
{
	for (struct change *c = t->changes; c; c = c->next) {
		const struct binding *b = change_of(j, d->table, c);
		if (!b || c->kind == CHANGE_TRUNCATE)
			continue;
		struct images i = images_of(b, c, &t->arena);
		if (i.before)
			docket_add(d, i.before);
		if (i.after)
			docket_add(d, i.after);
	}
}

/* What one transaction does to one table. */
struct hearing {
	struct docket *docket;
	struct transaction *transaction;
	bool truncated;
};

static bool judge_truncates(struct judge *j, struct hearing *h, struct err *e)
{
	const struct table_plan *table = h->docket->table;

	for (struct change *c = h->transaction->changes; c; c = c->next) {
		if (!change_of(j, table, c) || c->kind != CHANGE_TRUNCATE)
			continue;
		if (!judge_truncate(j, table, c, h->transaction, e))
			return false;
		h->truncated = true;
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

/* The relation of rows that were read again: every column, in the plan's order. */
static const struct relation *whole_relation(struct judge *j, const struct table_plan *t)
{
	const struct relation **slot = &j->whole[t - j->plan->tables];

	if (*slot)
		return *slot;
	struct relation *r = arena_zalloc(&j->arena, sizeof *r);
	struct column *columns = arena_array(&j->arena, t->ncolumns, sizeof *columns);
	for (unsigned i = 0; i < t->ncolumns; i++)
		columns[i] = (struct column){ t->columns[i].name, t->columns[i].type_oid,
					      t->columns[i].identity };
	*r = (struct relation){ t->schema, t->name, true, t->ncolumns, columns };
	return *slot = r;
}

static bool want_early(struct judge *j, const struct transaction *tr, struct err *e)
{
	j->wants_early = tr->commit_lsn;
	return err_set(e, ERR_RETRY,
		       "a transaction in parts moved a row that has to be read again; it is "
		       "streamed again, under a snapshot taken before its first part");
}

/* As the row is at the source by now; what becomes of it until then is in that. */
static bool read_again(struct judge *j, const struct hearing *h, struct change *c,
		       const struct value *key, bool *keep, struct err *e)
{
	const struct table_plan *t = h->docket->table;
	struct transaction *tr = h->transaction;
	struct value *row;

	if (h->truncated)
		return err_set(
		    e, ERR_CONFIG,
		    "one transaction emptied %s and moved a row with a long value between "
		    "chunks of two snapshots; abort and start again",
		    t->label);
	if (!tr->first && !reread_is_open(j->reread))
		return want_early(j, tr, e);
	if (!reread_row(j->reread, t, key, tr->commit_lsn, &tr->arena, &row, e))
		return false;
	*keep = row != NULL;
	if (row) {
		c->relation = whole_relation(j, t);
		c->after.values = row;
	}
	return true;
}

/* What is left of a change when each image has its verdict. NONE: drop it. */
static bool cut_change(struct judge *j, const struct hearing *h, struct change *c,
		       const struct images *i, bool *keep, struct err *e)
{
	*keep = i->before_applies || i->after_applies;
	if (!i->before || !i->after || i->before_applies == i->after_applies)
		return true;
	if (i->before_applies) {
		c->kind = CHANGE_DELETE;
		return true;
	}
	c->kind = CHANGE_INSERT;
	c->has_before = false;
	return !unchanged_left(h->docket->table, i->after) ||
	       read_again(j, h, c, i->after, keep, e);
}

/* By its chunk, unless its row was read again later. */
static bool next_applies(const struct judge *j, const struct hearing *h, const struct value *row)
{
	struct docket *d = h->docket;
	lsn_t commit = h->transaction->commit_lsn;

	return row && commit >= d->lgs[d->next++] && commit >= reread_lsn(j->reread, d->table, row);
}

static bool judge_change(struct judge *j, const struct hearing *h, struct change *c, bool *keep,
			 struct err *e)
{
	const struct binding *b = change_of(j, h->docket->table, c);

	*keep = true;
	if (!b || c->kind == CHANGE_TRUNCATE)
		return true;
	struct images i = images_of(b, c, &h->transaction->arena);
	i.before_applies = next_applies(j, h, i.before);
	i.after_applies = next_applies(j, h, i.after);
	return cut_change(j, h, c, &i, keep, e);
}

static bool apply_verdicts(struct judge *j, const struct hearing *h, struct err *e)
{
	struct transaction *t = h->transaction;
	struct change **link = &t->changes;
	bool keep;

	while (*link) {
		struct change *c = *link;
		if (!judge_change(j, h, c, &keep, e))
			return false;
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

static void docket_finish(struct docket *d)
{
	free(d->rows);
	free(d->lgs);
}

static bool hear(struct judge *j, struct docket *d, struct transaction *t, struct err *e)
{
	struct hearing h = { d, t, false };

	return judge_truncates(j, &h, e) && apply_verdicts(j, &h, e);
}

/* A row that was read again meanwhile may have drawn in transactions that were past it. */
static bool filter_by_chunk(struct judge *j, struct docket *d, struct transaction *t, struct err *e)
{
	struct docket own = { .table = d->table };

	if (t->commit_lsn < d->until)
		return hear(j, d, t, e);
	collect(j, &own, t);
	bool ok = docket_ask(j, &own, e) && hear(j, &own, t, e);
	docket_finish(&own);
	return ok;
}

static bool filter_table(struct judge *j, struct transaction *t, struct docket *d, unsigned table,
			 struct err *e)
{
	switch (table_verdict(j, table, t->commit_lsn)) {
	case APPLY:
		break;
	case IN_COPY:
		drop_changes(j, t, d->table);
		break;
	case BY_CHUNK:
		return filter_by_chunk(j, d, t, e);
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

static bool *tables_of(struct judge *j, const struct transaction *t)
{
	bool *present = xcalloc(j->plan->ntables, sizeof *present);

	find_tables(j, t, present);
	return present;
}

static void collect_all(struct judge *j, struct docket *dockets, struct transaction *t)
{
	bool *present = tables_of(j, t);

	for (unsigned i = 0; i < j->plan->ntables; i++)
		if (present[i] && table_verdict(j, i, t->commit_lsn) == BY_CHUNK)
			collect(j, &dockets[i], t);
	free(present);
}

static bool filter_all(struct judge *j, struct docket *dockets, struct transaction *t,
		       struct err *e)
{
	bool *present = tables_of(j, t), ok = true;

	for (unsigned i = 0; ok && i < j->plan->ntables; i++)
		ok = !present[i] || filter_table(j, t, &dockets[i], i, e);
	free(present);
	return ok;
}

static bool open_early(struct judge *j, const struct transaction *list, struct err *e)
{
	for (const struct transaction *t = list; t; t = t->next)
		if (t->first && !t->last && t->commit_lsn == j->early)
			return reread_open(j->reread, e);
	return true;
}

/* The last of the list may go on. */
static bool leave_snapshot(struct judge *j, const struct transaction *list, struct err *e)
{
	while (list->next)
		list = list->next;
	if (!list->last)
		return reread_rest(j->reread, e);
	reread_close(j->reread);
	return true;
}

bool judge_filter(struct judge *j, struct transaction *list, struct err *e)
{
	unsigned ntables = j->plan->ntables;

	if (!list || list->commit_lsn >= judge_consistent_lsn(j))
		return true;
	bool ok = open_early(j, list, e);
	struct docket *dockets = xcalloc(ntables, sizeof *dockets);
	for (unsigned i = 0; i < ntables; i++)
		dockets[i] =
		    (struct docket){ .table = &j->plan->tables[i], .until = highest(j, i) };
	for (struct transaction *t = list; t; t = t->next)
		collect_all(j, dockets, t);
	for (unsigned i = 0; ok && i < ntables; i++)
		ok = docket_ask(j, &dockets[i], e);
	for (struct transaction *t = list; ok && t; t = t->next)
		ok = filter_all(j, dockets, t, e);
	ok = ok && leave_snapshot(j, list, e);
	for (unsigned i = 0; i < ntables; i++)
		docket_finish(&dockets[i]);
	free(dockets);
	return ok;
}
