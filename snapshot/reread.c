#include "snapshot/reread.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/log.h"
#include "pg/ledger.h"
#include "pg/quote.h"
#include "snapshot/generation.h"
#include "snapshot/reading.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry {
	const struct table_plan *table;
	const char **key; /* table->nkey texts */
	lsn_t lsn;
};

struct reread {
	struct reread_options options;
	struct arena arena;
	struct entry *entries;
	unsigned count, cap;
	struct pg *source; /* NULL: not open */
	lsn_t lg;          /* of the snapshot that it reads under */
	bool *taken;       /* plan->ntables: reading_table() was called since it rested */
};

/* --- the keys --- */

static void remember(struct reread *r, const struct table_plan *t, const char **key, lsn_t lsn)
{
	if (r->count == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->entries = xrealloc(r->entries, r->cap * sizeof *r->entries);
	}
	r->entries[r->count++] = (struct entry){ t, key, lsn };
}

static const char **key_texts(struct arena *a, const struct table_plan *t, const struct value *row)
{
	const char **key = arena_array(a, t->nkey, sizeof *key);

	for (unsigned i = 0; i < t->nkey; i++) {
		struct bytes text = row[t->key[i]].text;
		key[i] = arena_strndup(a, text.data, text.len);
	}
	return key;
}

/* 1.50 as 1.5 */
static struct bytes trimmed(struct bytes text)
{
	if (!memchr(text.data, '.', text.len))
		return text;
	while (text.data[text.len - 1] == '0')
		text.len--;
	if (text.data[text.len - 1] == '.')
		text.len--;
	return text;
}

static bool same_value(enum sameness sameness, struct bytes a, struct bytes b)
{
	return sameness == SAME_DECIMAL ? bytes_equal(trimmed(a), trimmed(b)) : bytes_equal(a, b);
}

static bool same_key(const struct entry *e, const struct value *row)
{
	const struct table_plan *t = e->table;

	for (unsigned i = 0; i < t->nkey; i++)
		if (!same_value(t->columns[t->key[i]].sameness, row[t->key[i]].text,
				bytes_of(e->key[i])))
			return false;
	return true;
}

lsn_t reread_lsn(const struct reread *r, const struct table_plan *t, const struct value *row)
{
	lsn_t lsn = 0;

	for (unsigned i = 0; i < r->count; i++)
		if (r->entries[i].table == t && r->entries[i].lsn > lsn &&
		    same_key(&r->entries[i], row))
			lsn = r->entries[i].lsn;
	return lsn;
}

lsn_t reread_highest(const struct reread *r, const struct table_plan *t)
{
	lsn_t lsn = 0;

	for (unsigned i = 0; i < r->count; i++)
		if (r->entries[i].table == t && r->entries[i].lsn > lsn)
			lsn = r->entries[i].lsn;
	return lsn;
}

static bool load_table(struct reread *r, const struct table_plan *t, struct err *e)
{
	struct ledger_reread *list;
	unsigned count;

	if (!ledger_rereads(r->options.target, r->options.plan->migration, t->label, &r->arena,
			    &list, &count, e))
		return false;
	for (unsigned i = 0; i < count; i++)
		if (list[i].nkey == t->nkey)
			remember(r, t, list[i].key, list[i].lg);
	return true;
}

static bool load(struct reread *r, struct err *e)
{
	const struct plan *plan = r->options.plan;
	bool ok = ledger_drop_rereads(r->options.target, plan->migration, r->options.applied, e);

	for (unsigned i = 0; ok && i < plan->ntables; i++)
		ok = load_table(r, &plan->tables[i], e);
	return ok;
}

bool reread_create(const struct reread_options *options, struct reread **out, struct err *e)
{
	struct reread *r = xcalloc(1, sizeof *r);

	r->options = *options;
	r->taken = xcalloc(options->plan->ntables, sizeof *r->taken);
	if (!load(r, e)) {
		reread_destroy(r);
		return false;
	}
	*out = r;
	return true;
}

void reread_close(struct reread *r)
{
	pg_close(r->source);
	r->source = NULL;
}

void reread_destroy(struct reread *r)
{
	if (!r)
		return;
	reread_close(r);
	free(r->entries);
	free(r->taken);
	arena_finish(&r->arena);
	free(r);
}

/* --- the snapshot --- */

bool reread_is_open(const struct reread *r)
{
	return r->source != NULL;
}

/* Not for ever: nobody can stop the run meanwhile. */
static bool make_generation(struct reread *r, const struct generation_slot *slot,
			    struct generation *out, struct err *e)
{
	const struct pg_options walsender = generation_options(&r->options.source);
	struct pg *pg;

	if (!pg_open(&walsender, &pg, e))
		return err_wrap(e, "connect to the source for a slot");
	if (pg_exec(pg, "SET lock_timeout = '10s'", e) && generation_make(pg, slot, out, e))
		return true;
	pg_close(pg);
	if (strcmp(e->sqlstate, "55P03") == 0)
		err_wrap(e, "read a row again whose key moved between two snapshots: the slot for "
			    "it waits for transactions that are open at the source");
	return false;
}

static void forget_tables(struct reread *r)
{
	memset(r->taken, 0, r->options.plan->ntables * sizeof *r->taken);
}

static bool import_snapshot(struct reread *r, const char *snapshot, struct err *e)
{
	return pg_open(&r->options.source, &r->source, e) &&
	       reading_begin(r->source, " READ ONLY", snapshot, e) &&
	       pg_exec(r->source, "SAVEPOINT rested", e);
}

bool reread_open(struct reread *r, struct err *e)
{
	struct generation_slot slot = { .plugin = r->options.plugin, .temporary = true };
	struct generation made = { 0 };
	char lsn[LSN_TEXT];

	if (reread_is_open(r))
		return true;
	slot.name = arena_printf(&r->arena, "%.30s_r%d_%" PRId64, r->options.slot, (int)getpid(),
				 clock_ms());
	bool ok = make_generation(r, &slot, &made, e) && import_snapshot(r, made.snapshot, e);
	r->lg = made.lg;
	generation_close(&made); /* once it is imported the slot has done */
	if (!ok) {
		reread_close(r);
		return false;
	}
	forget_tables(r);
	log_event(LOG_INFO, "reread.open", "lsn=%s", lsn_format(r->lg, lsn));
	return true;
}

bool reread_rest(struct reread *r, struct err *e)
{
	if (!reread_is_open(r))
		return true;
	forget_tables(r);
	return pg_exec(r->source, "ROLLBACK TO SAVEPOINT rested", e);
}

/* --- one row --- */

static bool take_table(struct reread *r, const struct table_plan *t, struct err *e)
{
	bool *taken = &r->taken[t - r->options.plan->tables], rewritten;

	*taken = *taken || reading_table(r->source, t, &rewritten, e);
	return *taken;
}

static bool wanted(const struct table_plan *t, unsigned column)
{
	for (unsigned i = 0; i < t->nkey; i++)
		if (t->key[i] == column)
			return true;
	for (unsigned i = 0; i < t->chunk.nkey; i++)
		if (t->chunk.key[i] == column)
			return true;
	return t->columns[column].read;
}

static void put_select(const struct table_plan *t, struct buf *sql)
{
	buf_puts(sql, "SELECT ");
	for (unsigned i = 0; i < t->ncolumns; i++) {
		buf_puts(sql, i ? ", " : "");
		if (wanted(t, i))
			buf_ident(sql, t->columns[i].name);
		else
			buf_puts(sql, "NULL");
	}
	buf_printf(sql, " FROM %s WHERE ", t->from);
	for (unsigned i = 0; i < t->nkey; i++) {
		const struct plan_column *c = &t->columns[t->key[i]];
		buf_puts(sql, i ? " AND " : "");
		buf_ident(sql, c->name);
		buf_printf(sql, " = $%u::%s", i + 1, c->type);
	}
}

/* As the types write themselves, which is how the stream brings values. */
static struct value *take_row(const struct table_plan *t, const struct pg_result *res,
			      struct arena *a)
{
	struct value *row = arena_array(a, t->ncolumns, sizeof *row);

	for (unsigned i = 0; i < t->ncolumns; i++) {
		const char *text = pg_value(res, 0, i);
		if (!text)
			continue; /* VALUE_NULL is zero */
		size_t len = strlen(text);
		row[i] = (struct value){ VALUE_TEXT, { arena_strndup(a, text, len), len } };
	}
	return row;
}

static bool keep_key(struct reread *r, const struct table_plan *t, const char **key,
		     lsn_t commit_lsn, struct err *e)
{
	struct ledger_reread entry = { t->label, t->nkey, key, r->lg, commit_lsn };

	if (!ledger_add_reread(r->options.target, r->options.plan->migration, &entry, e))
		return false;
	remember(r, t, key, r->lg);
	return true;
}

/* Else a later change of the key might not be known for one of it. */
static bool can_tell(const struct table_plan *t, struct err *e)
{
	for (unsigned i = 0; i < t->nkey; i++)
		if (t->columns[t->key[i]].sameness == SAME_UNKNOWN)
			return err_set(e, ERR_CONFIG,
				       "a row moved from a copied chunk into one copied before, "
				       "with a TOASTed value that the stream did not repeat, and "
				       "keys of type %s cannot be compared by their text; abort, "
				       "ALTER TABLE %s REPLICA IDENTITY FULL, and start again",
				       t->columns[t->key[i]].type, t->quoted);
	return true;
}

bool reread_row(struct reread *r, const struct table_plan *t, const struct value *key,
		lsn_t commit_lsn, struct arena *a, struct value **out, struct err *e)
{
	const char **texts = key_texts(&r->arena, t, key);
	struct pg_result *res = NULL;
	struct buf sql = BUF_INIT;

	put_select(t, &sql);
	bool ok = can_tell(t, e) && reread_open(r, e) && take_table(r, t, e) &&
		  pg_query(r->source, buf_str(&sql), t->nkey, texts, &res, e) &&
		  keep_key(r, t, texts, commit_lsn, e);
	*out = ok && pg_rows(res) ? take_row(t, res, a) : NULL;
	pg_result_free(res);
	buf_free(&sql);
	return ok || err_wrap(e, "read a moved row of %s again", t->label);
}
