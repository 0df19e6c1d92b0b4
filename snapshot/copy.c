#include "snapshot/copy.h"

#include "core/buf.h"
#include "core/clock.h"
#include "pg/copy.h"
#include "pg/predicate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct copier {
	struct copy_options options;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t ended;
	unsigned running;
	bool *claimed; /* all chunks of all tables in a row */
	bool failed;
	struct err error; /* the first worker's */
	atomic_bool cancel;
	unsigned nworkers;
	struct worker *workers;
};

struct worker {
	struct copier *copier;
	pthread_t thread;
	bool started;
	struct pg *source, *target;
};

/* One chunk to copy. */
struct task {
	const struct table_plan *table;
	struct ledger_chunk *chunk;
};

/* --- who copies what --- */

static bool too_old(const struct copier *c)
{
	return clock_ms() - c->options.generation->opened_ms >= c->options.max_age_ms;
}

/* Next unclaimed chunk of tables that do (or do not) need one generation. */
static bool claim_kind(struct copier *c, bool one_generation, struct task *out)
{
	unsigned base = 0;

	for (unsigned i = 0; i < c->options.plan->ntables; i++) {
		struct table_chunks *t = &c->options.tables[i];
		for (unsigned k = 0;
		     chunks_one_generation(t->table) == one_generation && k < t->count; k++) {
			if (t->chunks[k].copied || c->claimed[base + k])
				continue;
			c->claimed[base + k] = true;
			*out = (struct task){ t->table, &t->chunks[k] };
			return true;
		}
		base += t->count;
	}
	return false;
}

static bool claim(struct copier *c, struct task *out)
{
	pthread_mutex_lock(&c->lock);
	bool found = !c->failed && !atomic_load(&c->cancel) &&
		     (claim_kind(c, true, out) || (!too_old(c) && claim_kind(c, false, out)));
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
		  pg_copy_rows(w->source, sql.data, w->target, f->copy_in, &w->copier->cancel,
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

static bool copy_flow(struct worker *w, const struct flow_plan *f, const struct task *task,
		      struct copy_count *count, struct err *e)
{
	bool ok = f->insert_select[0] ? insert_flow(w, f, task, count, e)
				      : stream_flow(w, f, task, count, e);

	return ok || err_wrap(e, "copy chunk %u of %s into %s", task->chunk->no, task->table->label,
			      f->target_name);
}

static bool import_snapshot(struct pg *pg, const char *mode, const char *snapshot, struct err *e)
{
	return pg_execf(pg, e, "BEGIN ISOLATION LEVEL REPEATABLE READ%s", mode) &&
	       pg_execf(pg, e, "SET TRANSACTION SNAPSHOT '%s'", snapshot);
}

/* In one database the transaction that writes is also the one that reads. */
static bool begin_chunk(struct worker *w, struct err *e)
{
	const struct copy_options *o = &w->copier->options;

	if (o->plan->one_database)
		return import_snapshot(w->target, "", o->generation->snapshot, e);
	return pg_begin(w->target, e);
}

static bool copy_chunk(struct worker *w, const struct task *task, struct err *e)
{
	const struct copy_options *o = &w->copier->options;
	const char *migration = o->plan->migration, *label = task->table->label;
	struct copy_count count = { 0, 0 };
	bool ok = begin_chunk(w, e) && ledger_chunk_begin(w->target, migration, label,
							  task->chunk->no, o->generation->lg, e);

	for (unsigned i = 0; ok && i < task->table->nflows; i++)
		ok = copy_flow(w, &task->table->flows[i], task, &count, e);
	ok = ok &&
	     ledger_chunk_done(w->target, migration, label, task->chunk->no, count.rows,
			       count.bytes, e) &&
	     pg_commit(w->target, e);
	if (!ok)
		pg_rollback(w->target);
	return ok;
}

/* --- the threads --- */

static void report(struct worker *w, const struct err *e)
{
	struct copier *c = w->copier;

	pthread_mutex_lock(&c->lock);
	if (!c->failed)
		c->error = *e;
	c->failed = true;
	atomic_store(&c->cancel, true);
	pthread_mutex_unlock(&c->lock);
}

static bool connect_one(struct worker *w, const struct pg_options *to, struct pg **slot,
			struct err *e)
{
	struct pg *pg;

	if (!pg_open(to, &pg, e))
		return false;
	pthread_mutex_lock(&w->copier->lock); /* copier_destroy may cancel from now on */
	*slot = pg;
	pthread_mutex_unlock(&w->copier->lock);
	return true;
}

static bool connect_worker(struct worker *w, struct err *e)
{
	const struct copy_options *o = &w->copier->options;

	if (!connect_one(w, &o->target, &w->target, e))
		return err_wrap(e, "connect to the target");
	if (o->plan->one_database)
		return true;
	if (!connect_one(w, &o->source, &w->source, e))
		return err_wrap(e, "connect to the source");
	return import_snapshot(w->source, " READ ONLY", o->generation->snapshot, e) ||
	       err_wrap(e, "import the snapshot");
}

static void mark_copied(struct copier *c, struct ledger_chunk *chunk)
{
	pthread_mutex_lock(&c->lock);
	chunk->copied = true;
	pthread_mutex_unlock(&c->lock);
}

static void leave(struct worker *w)
{
	struct copier *c = w->copier;

	pthread_mutex_lock(&c->lock);
	struct pg *source = w->source, *target = w->target;
	w->source = w->target = NULL; /* nobody cancels what is being closed */
	pthread_mutex_unlock(&c->lock);
	pg_close(source);
	pg_close(target);
	pthread_mutex_lock(&c->lock);
	c->running--;
	pthread_cond_broadcast(&c->ended);
	pthread_mutex_unlock(&c->lock);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct copier *c = w->copier;
	struct err e = ERR_INIT;
	struct task task;
	bool ok = connect_worker(w, &e);

	while (ok && claim(c, &task)) {
		ok = copy_chunk(w, &task, &e);
		if (ok)
			mark_copied(c, task.chunk);
	}
	if (!ok)
		report(w, &e);
	leave(w);
	return NULL;
}

static bool start_worker(struct worker *w, struct copier *c, struct err *e)
{
	w->copier = c;
	pthread_mutex_lock(&c->lock);
	int rc = pthread_create(&w->thread, NULL, work, w);
	w->started = rc == 0;
	c->running += w->started;
	pthread_mutex_unlock(&c->lock);
	return rc == 0 || err_set(e, ERR_RETRY, "start a copy worker: %s", strerror(rc));
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
	pthread_condattr_t attr;
	bool ok = true;

	c->options = *options;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->ended, &attr);
	pthread_condattr_destroy(&attr);
	c->claimed = xcalloc(total_chunks(options->plan, options->tables), sizeof *c->claimed);
	c->nworkers = options->jobs;
	c->workers = xcalloc(c->nworkers, sizeof *c->workers);
	for (unsigned i = 0; ok && i < c->nworkers; i++)
		ok = start_worker(&c->workers[i], c, e);
	if (!ok) {
		copier_destroy(c);
		return false;
	}
	*out = c;
	return true;
}

enum copier_state copier_wait(struct copier *c, int timeout_ms, struct err *e)
{
	int64_t until = clock_ms() + timeout_ms;
	struct timespec deadline = { until / 1000, until % 1000 * 1000000 };
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	while (c->running && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&c->ended, &c->lock, &deadline);
	enum copier_state state = c->running  ? COPIER_RUNNING
				  : c->failed ? COPIER_FAILED
					      : COPIER_ENDED;
	if (state == COPIER_FAILED)
		*e = c->error;
	pthread_mutex_unlock(&c->lock);
	return state;
}

static void cancel_workers(struct copier *c)
{
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->cancel, true);
	for (unsigned i = 0; i < c->nworkers; i++) {
		pg_cancel(c->workers[i].source);
		pg_cancel(c->workers[i].target);
	}
	pthread_mutex_unlock(&c->lock);
}

void copier_destroy(struct copier *c)
{
	if (!c)
		return;
	cancel_workers(c);
	for (unsigned i = 0; i < c->nworkers; i++)
		if (c->workers[i].started)
			pthread_join(c->workers[i].thread, NULL);
	pthread_cond_destroy(&c->ended);
	pthread_mutex_destroy(&c->lock);
	free(c->workers);
	free(c->claimed);
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
