#include "snapshot/build.h"

#include "core/log.h"
#include "pg/ddl.h"
#include "pg/ledger.h"
#include "pg/team.h"
#include "snapshot/definitions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct build_table {
	uint32_t oid;
	const char *name; /* as SQL takes it */
	int64_t bytes;
	unsigned left; /* indexes not there yet */
};

/* An index to build, or (NULL) a table that has none to wait for. */
struct build_task {
	const struct ledger_definition *index;
	struct build_table *table;
	unsigned no;
};

struct builder {
	struct build_options options;
	struct team *team;
	struct arena arena;
	unsigned ntables, ntasks, nindexes;
	struct build_table *tables;
	struct build_task *tasks;
	pthread_mutex_t lock; /* over next and each table's left */
	unsigned next;
};

/* --- what there is to do --- */

static struct build_table *table_by_oid(const struct builder *b, uint32_t oid)
{
	for (unsigned i = 0; i < b->ntables; i++)
		if (b->tables[i].oid == oid)
			return &b->tables[i];
	return NULL;
}

/* The table of that name, added when it is not known yet: flows may share one. NULL: failed. */
static struct build_table *find_table(struct builder *b, struct pg *pg, const char *name,
				      struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query_row(pg, "SELECT $1::regclass::oid, pg_table_size($1::regclass), $1::regclass",
			  1, &name, &r, e)) {
		err_wrap(e, "look at %s", name);
		return NULL;
	}
	struct build_table *t = table_by_oid(b, (uint32_t)pg_int(r, 0, 0));
	if (!t) {
		t = &b->tables[b->ntables++];
		*t = (struct build_table){ (uint32_t)pg_int(r, 0, 0),
					   arena_strdup(&b->arena, pg_text(r, 0, 2)),
					   pg_int(r, 0, 1), 0 };
	}
	pg_result_free(r);
	return t;
}

static bool list_tables(struct builder *b, struct pg *pg, struct err *e)
{
	const struct plan *plan = b->options.plan;

	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].nflows; k++)
			if (!find_table(b, pg, plan->tables[i].flows[k].target, e))
				return false;
	return true;
}

static bool right_after_copy(const struct ledger_definition *d)
{
	return strcmp(d->kind, "key") == 0 || strcmp(d->kind, "index") == 0;
}

static void add_task(struct builder *b, const struct ledger_definition *d, struct build_table *t)
{
	b->tasks[b->ntasks] = (struct build_task){ d, t, b->ntasks };
	b->ntasks++;
}

static bool list_indexes(struct builder *b, struct pg *pg, const struct ledger_definition *all,
			 unsigned count, struct err *e)
{
	for (unsigned i = 0; i < count; i++) {
		if (!right_after_copy(&all[i]))
			continue;
		struct build_table *t = find_table(b, pg, all[i].table, e);
		if (!t)
			return false;
		t->left++;
		add_task(b, &all[i], t);
	}
	b->nindexes = b->ntasks;
	for (unsigned i = 0; i < b->ntables; i++)
		if (!b->tables[i].left)
			add_task(b, NULL, &b->tables[i]);
	return true;
}

static bool list_tasks(struct builder *b, struct pg *pg, struct err *e)
{
	const struct plan *plan = b->options.plan;
	struct ledger_definition *all;
	unsigned count = 0, tables;

	if (!ledger_definitions(pg, plan->migration, &b->arena, &all, &count, e))
		return false;
	tables = count;
	for (unsigned i = 0; i < plan->ntables; i++)
		tables += plan->tables[i].nflows;
	b->tables = arena_array(&b->arena, tables, sizeof *b->tables);
	b->tasks = arena_array(&b->arena, count + tables, sizeof *b->tasks);
	return list_tables(b, pg, e) && list_indexes(b, pg, all, count, e);
}

static int larger_first(const void *x, const void *y)
{
	const struct build_task *a = x, *b = y;

	if (a->table->bytes != b->table->bytes)
		return a->table->bytes < b->table->bytes ? 1 : -1;
	return (a->no > b->no) - (a->no < b->no);
}

/* --- doing it --- */

static struct build_task *take(struct builder *b)
{
	pthread_mutex_lock(&b->lock);
	struct build_task *t = b->next < b->ntasks ? &b->tasks[b->next++] : NULL;
	pthread_mutex_unlock(&b->lock);
	return t;
}

/* Was it the table's last index? */
static bool was_last(struct builder *b, const struct build_task *t)
{
	pthread_mutex_lock(&b->lock);
	bool last = !t->index || --t->table->left == 0;
	pthread_mutex_unlock(&b->lock);
	return last;
}

static void log_analyzed(const char *table)
{
	struct arena scratch = ARENA_INIT;

	log_event(LOG_INFO, "analyzed", "table=%s", log_name(&scratch, table));
	arena_finish(&scratch);
}

static bool do_task(struct builder *b, const struct build_task *t, struct pg *pg, struct err *e)
{
	if (t->index && !definition_restore(b->options.plan->migration, t->index, pg, e))
		return false;
	if (!was_last(b, t))
		return true;
	if (!ddl_analyze(pg, t->table->name, e))
		return false;
	log_analyzed(t->table->name);
	return true;
}

static bool build(const struct team_member *m, struct err *e)
{
	struct builder *b = m->arg;
	struct build_task *t;
	struct pg *pg;

	if (!team_connect(m, &b->options.target, &pg, e) ||
	    (b->nindexes >= b->options.jobs &&
	     !pg_exec(pg, "SET max_parallel_maintenance_workers = 0", e)))
		return err_wrap(e, "connect to the target");
	while (!atomic_load(m->stop) && (t = take(b)) != NULL)
		if (!do_task(b, t, pg, e))
			return false;
	return true;
}

bool builder_start(const struct build_options *o, struct pg *ledger, struct builder **out,
		   struct err *e)
{
	struct builder *b = xcalloc(1, sizeof *b);

	b->options = *o;
	pthread_mutex_init(&b->lock, NULL);
	bool ok = list_tasks(b, ledger, e);
	if (ok && b->ntasks)
		qsort(b->tasks, b->ntasks, sizeof *b->tasks, larger_first);
	ok = ok && team_start(o->jobs, build, b, &b->team, e);
	if (ok)
		*out = b;
	else
		builder_destroy(b);
	return ok;
}

enum crew_state builder_wait(struct builder *b, int timeout_ms, struct err *e)
{
	return team_wait(b->team, timeout_ms, e);
}

void builder_destroy(struct builder *b)
{
	if (!b)
		return;
	team_destroy(b->team);
	pthread_mutex_destroy(&b->lock);
	arena_finish(&b->arena);
	free(b);
}
