#include "service/outlook_steps.h"

#include "cutover/switch.h"
#include "pg/ddl.h"
#include "pg/freeze.h"
#include "pg/lock.h"
#include "pg/quote.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_STEPS = 40 };

static struct outlook_step *add(struct outlook *o, const char *phase, const char *where,
				const char *what)
{
	struct outlook_step *step = &o->steps[o->nsteps++];

	*step = (struct outlook_step){ .phase = phase, .where = where, .what = what };
	return step;
}

static void add_sql(struct session *s, struct outlook_step *step, const char *sql)
{
	const char **more = arena_array(&s->arena, step->nsql + 1UL, sizeof *more);

	if (!sql || !*sql)
		return;
	if (step->nsql)
		memcpy(more, step->sql, step->nsql * sizeof *more);
	more[step->nsql++] = sql;
	step->sql = more;
}

/* --- prepare --- */

static void add_publications(struct session *s, struct outlook *o)
{
	struct outlook_step *step = add(o, "prepare", "source", "publish the old tables' changes");

	step->lock = "SHARE UPDATE EXCLUSIVE on each old table, for the statement (milliseconds): "
		     "reads and writes go on; it waits for VACUUM and DDL";
	for (unsigned i = 0; i < 2; i++)
		add_sql(s, step, publication_sql(&s->published[i], &s->arena));
}

static void add_slot(struct session *s, struct outlook *o)
{
	struct outlook_step *step =
	    add(o, "prepare", "source",
		arena_printf(&s->arena,
			     "create replication slot %s with plugin %s and export its snapshot; "
			     "from here on the source keeps WAL, until complete or abort",
			     s->slot, s->migration->decoder));

	step->lock = "none; waits until the transactions that are open at that moment have ended";
}

static bool is_kind(const struct definition *d, const char *kind)
{
	return strcmp(d->kind, kind) == 0;
}

static void add_put_away(struct session *s, struct outlook *o)
{
	if (!o->ndefinitions)
		return;
	struct outlook_step *step = add(
	    o, "prepare", "target",
	    "save indexes and constraints of the new tables in the ledger and drop them, all in "
	    "one transaction (what tables outside the migration refer to stays)");

	step->lock = "ACCESS EXCLUSIVE on the new tables, and on the tables their foreign keys "
		     "refer to, until that transaction ends (milliseconds)";
	for (unsigned i = 0; i < o->ndefinitions; i++)
		add_sql(s, step, o->definitions[i].drop);
}

static void add_prepare(struct session *s, struct outlook *o)
{
	add(o, "prepare", "target",
	    "create the ledger: schema pgcrossfade, its tables, and this migration's row");
	add_publications(s, o);
	add_slot(s, o);
	add_put_away(s, o);
}

/* --- copy --- */

static void add_restore(struct session *s, struct outlook *o, struct outlook_step *step,
			const char *kind, const char *other)
{
	for (unsigned i = 0; i < o->ndefinitions; i++)
		if (is_kind(&o->definitions[i], kind) ||
		    (other && is_kind(&o->definitions[i], other)))
			add_sql(s, step, o->definitions[i].create);
}

static bool any_kind(const struct outlook *o, const char *kind, const char *other)
{
	for (unsigned i = 0; i < o->ndefinitions; i++)
		if (is_kind(&o->definitions[i], kind) ||
		    (other && is_kind(&o->definitions[i], other)))
			return true;
	return false;
}

static void add_copy(struct session *s, struct outlook *o)
{
	struct outlook_step *step =
	    add(o, "copy", "both",
		arena_printf(&s->arena, "copy %u chunk%s with %" PRIu64 " workers", o->copy.chunks,
			     o->copy.chunks == 1 ? "" : "s", s->migration->jobs));

	step->lock = arena_printf(
	    &s->arena,
	    "ACCESS SHARE on the old tables, ROW EXCLUSIVE on the new ones; a snapshot holds back "
	    "the source's vacuum for %" PRId64 " s at most (tables without a key to cut by: until "
	    "they are copied)",
	    s->migration->snapshot_max_age / 1000);
	if (any_kind(o, "key", "index")) {
		step = add(o, "copy", "target",
			   "build keys and indexes that are not unique, as many at once as there "
			   "are workers");
		step->lock = "SHARE for an index, ACCESS EXCLUSIVE for a constraint, on its new "
			     "table while it is built";
		add_restore(s, o, step, "key", "index");
	}
	step = add(o, "copy", "target",
		   "analyze each new table as soon as its last index of these is there");
	step->lock = "SHARE UPDATE EXCLUSIVE on each new table in turn";
}

/* --- stream --- */

static void add_foreign_keys(struct session *s, struct outlook *o)
{
	struct outlook_step *step =
	    add(o, "stream", "target",
		"make foreign keys again, NOT VALID and deferrable, then validate them");

	step->lock = "SHARE ROW EXCLUSIVE on both tables while one is made (milliseconds); SHARE "
		     "UPDATE EXCLUSIVE on the child while it is validated: reads and writes go on";
	add_restore(s, o, step, "foreign key", NULL);
}

static void add_stream(struct session *s, struct outlook *o)
{
	struct outlook_step *step =
	    add(o, "stream", "target",
		"apply the changes since the snapshot, in commit order; a sign of life and figures "
		"go to the ledger each second");

	step->lock = "ROW EXCLUSIVE on the new tables";
	if (any_kind(o, "unique", NULL)) {
		step = add(o, "stream", "target",
			   "past the consistent point: build the other unique indexes and "
			   "constraints; nothing is applied meanwhile");
		step->lock = "SHARE for an index, ACCESS EXCLUSIVE for a constraint, while it is "
			     "built";
		add_restore(s, o, step, "unique", NULL);
	}
	if (any_kind(o, "foreign key", NULL))
		add_foreign_keys(s, o);
}

/* --- cutover --- */

static void add_gate(struct session *s, struct outlook *o)
{
	const struct migration *m = s->migration;
	struct outlook_step *step =
	    add(o, "cutover", "both",
		arena_printf(&s->arena,
			     "begin only when the lag is at most %" PRIu64
			     " bytes%s; make schema pgcrossfade and the freeze's function at the "
			     "source",
			     m->cutover.max_lag,
			     m->hooks[HOOK_BEFORE_CUTOVER] ? "; run hook before_cutover" : ""));

	add_sql(s, step, m->hooks[HOOK_BEFORE_CUTOVER]);
	if (!m->switch_to.target_sql)
		return;
	step = add(o, "cutover", "target", "rehearse target_sql: run it and roll it back");
	step->lock = arena_printf(&s->arena, "what it takes, waited for %" PRId64 " ms at most",
				  m->cutover.lock_timeout);
	add_sql(s, step, m->switch_to.target_sql);
}

static void add_lock(struct session *s, struct outlook *o)
{
	const struct cutover_def *c = &s->migration->cutover;
	struct lock_tables tables = switch_tables(&s->migration->switch_to, s->plan, &s->arena);
	struct outlook_step *step = add(o, "cutover", "source", "lock the old tables");

	step->lock = arena_printf(
	    &s->arena,
	    "%sSHARE ROW EXCLUSIVE on every old table: writes wait, reads go on. A try waits %" PRId64
	    " ms for it at most (cutover.lock_timeout), up to %" PRIu64
	    " tries; once it is held, the commit below comes within %" PRId64
	    " ms (cutover.max_pause), or it is let go and tried again",
	    tables.nalone ? "ACCESS EXCLUSIVE on each that is renamed: reads wait, too. " : "",
	    c->lock_timeout, c->tries, c->max_pause);
	add_sql(s, step, lock_sql(&tables, &s->arena));
	add(o, "cutover", "both", "mark the position in the WAL, apply everything before it");
}

static void add_sequences(struct session *s, struct outlook *o)
{
	if (!s->plan->nsequences)
		return;
	struct outlook_step *step =
	    add(o, "cutover", "target", "advance the sequences of the new tables; today to:");

	for (unsigned i = 0; i < s->plan->nsequences; i++)
		add_sql(s, step,
			arena_printf(&s->arena, "%s: %" PRId64 ", now %" PRId64,
				     s->plan->sequences[i].target_sequence, o->sequences[i].next,
				     o->sequences[i].now));
}

static void add_renames(struct session *s, struct outlook *o)
{
	const struct switch_def *d = &s->migration->switch_to;

	if (!d->nrenames)
		return;
	struct outlook_step *step = add(o, "cutover", "source", "rename tables");
	step->lock = "ACCESS EXCLUSIVE on each renamed table until the commit: reads wait, too";
	for (unsigned i = 0; i < d->nrenames; i++) {
		const struct rename_def *n = &d->renames[i];
		struct ddl_rename r = { n->table.schema, n->table.name, n->to.schema, n->to.name };
		add_sql(s, step, ddl_rename_sql(&r, &s->arena));
	}
}

static void add_search_paths(struct session *s, struct outlook *o)
{
	const struct switch_def *d = &s->migration->switch_to;

	for (unsigned i = 0; i < d->nsearch_paths; i++) {
		const struct search_path_def *p = &d->search_paths[i];
		const char *path = "";
		for (unsigned k = 0; k < p->path.count; k++)
			path = arena_printf(&s->arena, "%s%s%s", path, k ? ", " : "",
					    arena_ident(&s->arena, p->path.names[k]));
		add(o, "cutover", "source",
		    arena_printf(&s->arena,
				 "set search_path of role %s in this database, for its new "
				 "sessions, to %s",
				 p->role, path));
	}
}

static void add_switch(struct session *s, struct outlook *o)
{
	const struct switch_def *d = &s->migration->switch_to;
	struct outlook_step *step =
	    add(o, "cutover", "source",
		"freeze the old tables, with all their partitions: a write raises an error");

	step->lock = "under the lock that is held already";
	for (unsigned i = 0; i < s->plan->ntables; i++)
		add_sql(s, step,
			freeze_table_sql(s->plan->migration, s->plan->tables[i].quoted, &s->arena));
	add_renames(s, o);
	add_search_paths(s, o);
	if (d->source_sql) {
		step = add(o, "cutover", "source", "run source_sql");
		step->lock = "what it takes, until the commit";
		add_sql(s, step, d->source_sql);
	}
	add(o, "cutover", "source",
	    "COMMIT: the point of no return. Before it everything can be taken back; after it a "
	    "restarted run finishes what follows");
}

/* --- after it --- */

static void add_switched(struct session *s, struct outlook *o)
{
	const struct migration *m = s->migration;
	struct outlook_step *step;

	if (m->switch_to.target_sql) {
		step = add(o, "cutover", "target", "run target_sql");
		step->lock = "what it takes";
		add_sql(s, step, m->switch_to.target_sql);
	}
	if (m->hooks[HOOK_AFTER_CUTOVER]) {
		step = add(o, "switched", "both", "run hook after_cutover");
		add_sql(s, step, m->hooks[HOOK_AFTER_CUTOVER]);
	}
	add(o, "switched", "source",
	    arena_printf(&s->arena, "drop slot %s and the publications", s->slot));
	if (!any_kind(o, "foreign key", NULL))
		return;
	step = add(o, "switched", "target",
		   "make foreign keys as they were before: not deferrable, and acting");
	step->lock = "ACCESS EXCLUSIVE on both tables of each (milliseconds), waited for 200 ms at "
		     "most, then tried again, every 10 s at last; complete waits longer";
}

void outlook_steps(struct session *s, struct outlook *o)
{
	unsigned paths = s->migration->switch_to.nsearch_paths;

	o->steps = arena_array(&s->arena, MAX_STEPS + (size_t)paths, sizeof *o->steps);
	add_prepare(s, o);
	add_copy(s, o);
	add_stream(s, o);
	add_gate(s, o);
	add_lock(s, o);
	add_sequences(s, o);
	add_switch(s, o);
	add_switched(s, o);
}
