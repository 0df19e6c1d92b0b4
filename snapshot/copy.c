#include "snapshot/copy.h"

#include "core/buf.h"
#include "core/clock.h"
#include "pg/copy.h"
#include "pg/predicate.h"
#include "pg/team.h"
#include "snapshot/reading.h"
#include "snapshot/separate.h"
#include "snapshot/stage.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

struct copier {
	struct copy_options options;
	struct team *team;
	pthread_mutex_t lock; /* over what tables are told of, and: */
	bool *claimed;        /* all chunks of all tables in a row */
	unsigned *workers;    /* of each table: how many copy it now */
	atomic_uint rejected; /* rows put aside, in the ledger or on their way */
};

/* What a worker works with. */
struct worker {
	struct copier *copier;
	const atomic_bool *stop;
	struct pg *source, *target; /* source: NULL in one database */
	bool rewritten;             /* the table of the chunk that failed */
};

/* One chunk to copy. */
struct task {
	unsigned table_no;
	const struct table_plan *table;
	struct ledger_chunk *chunk;
};

/* --- who copies what --- */

static bool too_old(const struct copier *c)
{
	return clock_ms() - c->options.generation->opened_ms >= c->options.max_age_ms;
}

/* Next unclaimed chunk of a table. Its index in claimed is base + *k. */
static bool next_chunk(const struct copier *c, const struct table_chunks *t, unsigned base,
		       unsigned *k)
{
	for (*k = 0; *k < t->count; ++*k)
		if (!t->chunks[*k].copied && !c->claimed[base + *k])
			return true;
	return false;
}

/*
 * Next unclaimed chunk of tables that do (or do not) need one generation; of the table that
 * the fewest work on: those who extend one table wait for each other.
 */
static bool claim_kind(struct copier *c, bool one_generation, struct task *out)
{
	unsigned base = 0, k, claimed = 0, fewest = UINT_MAX;

	for (unsigned i = 0; i < c->options.plan->ntables; i++) {
		struct table_chunks *t = &c->options.tables[i];
		if (chunks_one_generation(t->table) == one_generation && c->workers[i] < fewest &&
		    next_chunk(c, t, base, &k)) {
			fewest = c->workers[i];
			claimed = base + k;
			*out = (struct task){ i, t->table, &t->chunks[k] };
		}
		base += t->count;
	}
	if (fewest == UINT_MAX)
		return false;
	c->claimed[claimed] = true;
	c->workers[out->table_no]++;
	return true;
}

static bool claim(struct copier *c, struct task *out)
{
	pthread_mutex_lock(&c->lock);
	bool found = (claim_kind(c, true, out) || (!too_old(c) && claim_kind(c, false, out)));
	pthread_mutex_unlock(&c->lock);
	return found;
}

/* --- one chunk --- */

static void chunk_sql(const char *const parts[2], const struct task *task, struct buf *sql)
{
	buf_clear(sql);
	buf_puts(sql, parts[0]);
	chunk_predicate(task->table, task->chunk->lo, task->chunk->hi, sql);
	buf_puts(sql, parts[1]);
}

static bool insert_flow(struct worker *w, const struct flow_plan *f, const struct task *task,
			struct copy_count *count, struct err *e)
{
	struct buf sql = BUF_INIT;
	struct pg_result *r = NULL;

	chunk_sql(f->insert_select, task, &sql);
	bool ok = pg_query(w->target, sql.data, 0, NULL, &r, e);
	if (ok)
		count->rows += pg_affected(r);
	pg_result_free(r);
	buf_free(&sql);
	return ok;
}

static bool stream_flow(struct worker *w, const struct flow_plan *f, const struct task *task,
			struct copy_count *count, struct err *e)
{
	struct copy_count staged = { 0, 0 };
	struct buf sql = BUF_INIT;

	chunk_sql(f->copy_out, task, &sql);
	bool ok = (!f->stage_create || pg_exec(w->target, f->stage_create, e)) &&
		  pg_copy_rows(w->source, sql.data, w->target, f->copy_in, w->stop,
			       f->stage_create ? &staged : count, e);
	buf_free(&sql);
	if (ok && f->stage_create) {
		struct pg_result *r = NULL;
		ok = pg_query(w->target, f->stage_insert, 0, NULL, &r, e);
		count->rows += ok ? pg_affected(r) : 0;
		count->bytes += staged.bytes;
		pg_result_free(r);
	}
	return ok;
}

static bool insert_staged(struct worker *w, const struct flow_plan *f, struct copy_count *count,
			  struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(w->target, f->stage_insert, 0, NULL, &r, e);

	count->rows += ok ? pg_affected(r) : 0;
	pg_result_free(r);
	return ok;
}

static bool on_both(struct worker *w, const char *sql, struct err *e)
{
	return (!w->source || pg_exec(w->source, sql, e)) && pg_exec(w->target, sql, e);
}

static bool separate(struct worker *w, const struct flow_plan *f, const struct task *task,
		     struct copy_count *count, struct err *e)
{
	struct copier *c = w->copier;
	struct buf sql = BUF_INIT;

	chunk_sql(f->stored_select, task, &sql);
	bool at_source = w->source && !stage_reads(f);
	struct separation s = { .source = at_source ? w->source : w->target,
				.target = w->target,
				.plan = c->options.plan,
				.table = task->table,
				.flow = f,
				.select = sql.data,
				.chunk = task->chunk->no,
				.lg = c->options.generation->lg,
				.stop = w->stop,
				.rejected = &c->rejected };
	bool ok = separate_rows(&s, count, e);
	buf_free(&sql);
	return ok;
}

static bool copy_rows(struct worker *w, const struct flow_plan *f, const struct task *task,
		      struct copy_count *count, struct err *e)
{
	if (stage_reads(f))
		return f->lookup || insert_staged(w, f, count, e);
	return f->insert_select[0] ? insert_flow(w, f, task, count, e)
				   : stream_flow(w, f, task, count, e);
}

/* Either side may be the one that refuses a row. */
static bool copy_with_rejects(struct worker *w, const struct flow_plan *f, const struct task *task,
			      struct copy_count *count, struct err *e)
{
	struct copy_count before = *count;

	if (!on_both(w, "SAVEPOINT flow", e))
		return false;
	if (copy_rows(w, f, task, count, e))
		return on_both(w, "RELEASE SAVEPOINT flow", e);
	if (e->kind != ERR_DATA || pg_lost(w->target) || (w->source && pg_lost(w->source)))
		return false;
	err_clear(e);
	*count = before;
	return on_both(w, "ROLLBACK TO SAVEPOINT flow; RELEASE SAVEPOINT flow", e) &&
	       separate(w, f, task, count, e);
}

/* A row that is refused is among these; it is not told itself. */
static bool explain(const struct flow_plan *f, const struct task *task, struct err *e)
{
	struct buf where = BUF_INIT;

	if (e->kind == ERR_DATA) {
		buf_puts(&where, ", rows WHERE ");
		chunk_predicate(task->table, task->chunk->lo, task->chunk->hi, &where);
	}
	err_wrap(e, "copy chunk %u of %s into %s%s", task->chunk->no, task->table->label,
		 f->target_name, buf_str(&where));
	buf_free(&where);
	return false;
}

static bool copy_flow(struct worker *w, const struct flow_plan *f, const struct task *task,
		      struct copy_count *count, struct err *e)
{
	bool ok = w->copier->options.plan->rejects ? copy_with_rejects(w, f, task, count, e)
						   : copy_rows(w, f, task, count, e);

	return ok || explain(f, task, e);
}

/*
 * A transaction a chunk: one that went on to the next would keep its locks as long as the
 * generation lasts, and with them, while somebody's DDL waits, all writers of the table.
 */
static bool begin_source(struct worker *w, const struct task *task, struct err *e)
{
	const char *snapshot = w->copier->options.generation->snapshot;

	return !w->source || (reading_begin(w->source, " READ ONLY", snapshot, e) &&
			      reading_table(w->source, task->table, &w->rewritten, e));
}

static bool end_source(struct worker *w, struct err *e)
{
	return !w->source || pg_commit(w->source, e);
}

static bool stage_chunk(struct worker *w, const struct task *task, struct copy_count *count,
			struct err *e)
{
	const struct copy_options *o = &w->copier->options;
	struct stage s = { .plan = o->plan,
			   .table = task->table,
			   .chunk = task->chunk,
			   .source = w->source,
			   .target = w->target,
			   .snapshot = o->generation->snapshot,
			   .rewritten = &w->rewritten,
			   .stop = w->stop };

	if (!task->table->stage.create)
		return true;
	return stage_fill(&s, &count->bytes, e) && stage_lookups(&s, e);
}

/* In one database the transaction that writes is also the one that reads; what is staged was
 * read before. */
static bool begin_chunk(struct worker *w, const struct task *task, struct err *e)
{
	const struct copy_options *o = &w->copier->options;

	if (o->plan->one_database && !task->table->stage.create)
		return reading_begin(w->target, "", o->generation->snapshot, e) &&
		       reading_table(w->target, task->table, &w->rewritten, e);
	return pg_begin(w->target, e);
}

static bool copy_chunk(struct worker *w, const struct task *task, struct err *e)
{
	const struct copy_options *o = &w->copier->options;
	const char *migration = o->plan->migration, *label = task->table->label;
	struct copy_count count = { 0, 0 };
	bool ok =
	    begin_source(w, task, e) && stage_chunk(w, task, &count, e) &&
	    begin_chunk(w, task, e) &&
	    ledger_chunk_begin(w->target, migration, label, task->chunk->no, o->generation->lg, e);

	/* what is looked at only at the commit cannot be laid to a row */
	ok = ok && (!o->plan->rejects || pg_exec(w->target, "SET CONSTRAINTS ALL IMMEDIATE", e));
	for (unsigned i = 0; ok && i < task->table->nflows; i++)
		ok = copy_flow(w, &task->table->flows[i], task, &count, e);
	ok = ok && end_source(w, e) &&
	     ledger_chunk_done(w->target, migration, label, task->chunk->no, count.rows,
			       count.bytes, e) &&
	     pg_commit(w->target, e);
	if (!ok)
		pg_rollback(w->target);
	return ok;
}

/* --- the workers --- */

static bool connect_worker(const struct team_member *m, struct worker *w, struct err *e)
{
	const struct copy_options *o = &w->copier->options;

	if (!team_connect(m, &o->target, &w->target, e) ||
	    !pg_exec(w->target, "SET synchronous_commit = off", e)) /* see the header */
		return err_wrap(e, "connect to the target");
	if (o->plan->one_database)
		return true;
	return team_connect(m, &o->source, &w->source, e) || err_wrap(e, "connect to the source");
}

static void mark_copied(struct copier *c, const struct task *task)
{
	pthread_mutex_lock(&c->lock);
	task->chunk->copied = true;
	c->workers[task->table_no]--;
	pthread_mutex_unlock(&c->lock);
}

static void mark_rewritten(struct copier *c, const struct task *task)
{
	pthread_mutex_lock(&c->lock);
	c->options.tables[task->table_no].rewritten = true;
	pthread_mutex_unlock(&c->lock);
}

static bool work(const struct team_member *m, struct err *e)
{
	struct copier *c = m->arg;
	struct worker w = { .copier = c, .stop = m->stop };
	struct task task;

	if (!connect_worker(m, &w, e))
		return false;
	while (!atomic_load(m->stop) && claim(c, &task)) {
		if (!copy_chunk(&w, &task, e)) {
			if (w.rewritten)
				mark_rewritten(c, &task);
			return false;
		}
		mark_copied(c, &task);
	}
	return true;
}

static unsigned total_chunks(const struct plan *plan, const struct table_chunks *tables)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->ntables; i++)
		n += tables[i].count;
	return n;
}

bool copier_start(const struct copy_options *options, struct copier **out, struct err *e)
{
	struct copier *c = xcalloc(1, sizeof *c);

	c->options = *options;
	atomic_init(&c->rejected, options->rejected);
	pthread_mutex_init(&c->lock, NULL);
	c->claimed = xcalloc(total_chunks(options->plan, options->tables), sizeof *c->claimed);
	c->workers = xcalloc(options->plan->ntables, sizeof *c->workers);
	if (!team_start(options->jobs, work, c, &c->team, e)) {
		copier_destroy(c);
		return false;
	}
	*out = c;
	return true;
}

enum crew_state copier_wait(struct copier *c, int timeout_ms, struct err *e)
{
	return team_wait(c->team, timeout_ms, e);
}

void copier_destroy(struct copier *c)
{
	if (!c)
		return;
	team_destroy(c->team);
	pthread_mutex_destroy(&c->lock);
	free(c->claimed);
	free(c->workers);
	free(c);
}

unsigned chunks_left(const struct plan *plan, const struct table_chunks *tables)
{
	unsigned left = 0;

	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < tables[i].count; k++)
			left += !tables[i].chunks[k].copied;
	return left;
}
