#include "service/session.h"

#include "core/buf.h"
#include "pg/heartbeat.h"
#include "pg/progress.h"
#include "pg/quote.h"
#include "service/estimate.h"

#include <string.h>

static const char *search_path_sql(struct arena *a, const struct name_list *names)
{
	const char *list = "";

	for (unsigned i = 0; i < names->count; i++)
		list =
		    arena_printf(a, "%s%s%s", list, i ? ", " : "", arena_ident(a, names->names[i]));
	return list;
}

/* Slot names know lower case letters, digits and underscores only. */
static const char *object_name(struct arena *a, const char *migration, const char *suffix)
{
	char *name = arena_printf(a, "pgcrossfade_%s%s", migration, suffix);

	for (char *s = name; *s; s++)
		if (*s == '-')
			*s = '_';
	return name;
}

static void name_things(struct session *s)
{
	const struct migration *m = s->migration;
	const char *application = arena_printf(&s->arena, "pgcrossfade %s", m->name);
	const char *path = search_path_sql(&s->arena, &m->search_path);

	s->source_options = (struct pg_options){ m->source, application, path, false };
	s->target_options = (struct pg_options){ m->target, application, path, false };
	s->slot = object_name(&s->arena, m->name, "");
	s->publication = s->slot;
	s->insert_publication = object_name(&s->arena, m->name, "_inserts");
}

void session_name(const struct migration *m, struct session *s)
{
	*s = (struct session){ .migration = m };
	name_things(s);
}

bool session_open_source(struct session *s, struct err *e)
{
	return s->source || pg_open(&s->source_options, &s->source, e) ||
	       err_wrap(e, "connect to the source");
}

bool session_open_target(struct session *s, struct err *e)
{
	return s->target || pg_open(&s->target_options, &s->target, e) ||
	       err_wrap(e, "connect to the target");
}

bool session_open(const struct migration *m, struct session *s, struct err *e)
{
	session_name(m, s);
	if (session_open_source(s, e) && session_open_target(s, e))
		return true;
	session_close(s);
	return false;
}

void session_close(struct session *s)
{
	pg_close(s->source);
	pg_close(s->target);
	arena_finish(&s->arena);
	s->source = s->target = NULL;
	s->plan = NULL;
}

void session_keep_target(struct session *s)
{
	struct pg *target = s->target;

	s->target = NULL;
	session_close(s);
	session_name(s->migration, s);
	s->target = target;
}

static bool refuse(struct session *s, const struct findings *findings, struct err *e)
{
	const struct finding *f = findings->first;

	while (f->level != FINDING_FAIL)
		f = f->next;
	return err_set(
	    e, ERR_CONFIG,
	    "the migration cannot run as it is: %s: %s%s; pgcrossfade check %s says more",
	    f->subject, finding_text(&s->arena, f),
	    findings->failures == 1
		? ""
		: arena_printf(&s->arena, " (the first of %u problems)", findings->failures),
	    s->migration->file);
}

/* Of the tables that are followed by inserts only, or of the others. */
static void list_published(struct session *s, bool insert_only, struct publication *out)
{
	const char **tables = arena_array(&s->arena, s->plan->ntables, sizeof *tables);

	*out = (struct publication){ .name = insert_only ? s->insert_publication : s->publication,
				     .publish = insert_only ? "insert, truncate"
							    : "insert, update, delete, truncate",
				     .tables = tables };
	for (unsigned i = 0; i < s->plan->ntables; i++)
		if (s->plan->tables[i].insert_only == insert_only)
			tables[out->ntables++] = s->plan->tables[i].quoted;
}

static void list_childless(struct session *s)
{
	const struct migration *m = s->migration;
	const char **tables = arena_array(&s->arena, m->nflows, sizeof *tables);
	unsigned n = 0;

	for (unsigned i = 0; i < m->nflows; i++) {
		const struct flow_def *f = &m->flows[i];
		if (!f->only)
			tables[n++] = arena_qualified(&s->arena, f->from.schema, f->from.name);
	}
	s->childless = arena_text_array(&s->arena, tables, n);
}

static unsigned count_columns(const struct plan *plan)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->ntables; i++)
		n += plan->tables[i].ncolumns;
	return n;
}

bool session_by_name(const struct session *s)
{
	return strcmp(s->migration->decoder, "wal2json") == 0;
}

static void list_reads(struct session *s)
{
	unsigned room = count_columns(s->plan), n = 0;
	const char **tables = arena_array(&s->arena, room, sizeof *tables);
	const char **names = arena_array(&s->arena, room, sizeof *names);

	for (unsigned i = 0; i < s->plan->ntables; i++) {
		const struct table_plan *t = &s->plan->tables[i];
		for (unsigned k = 0; k < t->ncolumns; k++) {
			if (!t->columns[k].read)
				continue;
			tables[n] = t->quoted;
			names[n++] = t->columns[k].name;
		}
	}
	s->reads = (struct altered_columns){ arena_text_array(&s->arena, tables, n),
					     arena_text_array(&s->arena, names, n),
					     session_by_name(s) };
}

/* A migration that is under way goes on as it began, or not at all. */
static bool check_begun(struct session *s, struct findings *findings, struct err *e)
{
	struct session_identity now = { "", "", "", 0 };
	struct ledger_migration *m;

	if (findings->failures)
		return true;
	if (!ledger_load(s->target, s->migration->name, &s->arena, &m, e))
		return false;
	if (!m)
		return true;
	if (!session_identity(s, &now, e))
		return false;
	if (strcmp(m->digest, now.digest) != 0)
		finding_add(findings, &s->arena, FINDING_FAIL, "ledger",
			    "flows, decoder or search_path of migration %s, or the key of an old "
			    "table, are not those it was started with; bring them back, or abort "
			    "and start again",
			    m->name);
	if (strcmp(m->source_system, now.system) != 0 ||
	    strcmp(m->source_database, now.database) != 0)
		finding_add(findings, &s->arena, FINDING_FAIL, "ledger",
			    "migration %s was started from database %s of system %s, the source is "
			    "now database %s of system %s; name that one, or abort and start again",
			    m->name, m->source_database, m->source_system, now.database,
			    now.system);
	return true;
}

bool session_compile(struct session *s, struct findings *findings, struct err *e)
{
	if (!migration_compile(s->migration, s->source, s->target, &s->arena, &s->plan, findings,
			       e) ||
	    !check_begun(s, findings, e))
		return err_wrap(e, "check");
	if (findings->failures)
		return refuse(s, findings, e);
	list_published(s, false, &s->published[0]);
	list_published(s, true, &s->published[1]);
	list_childless(s);
	list_reads(s);
	return true;
}

static bool estimate(void *context, const struct plan *plan, struct copy_time *out, struct err *e)
{
	struct session *s = context;
	const struct copy_source copied = { plan, s->migration, s->source, &s->arena };
	struct estimate found;
	bool ok = estimate_copy(&copied, &found, e);

	if (ok)
		*out = (struct copy_time){ found.bytes, found.seconds, found.workers };
	return ok;
}

bool session_check(struct session *s, int64_t data_ms, struct findings *findings, struct err *e)
{
	const struct check_options options = { data_ms, estimate, s, &s->plan };

	if (!migration_check(s->migration, s->source, s->target, &s->arena, &options, findings,
			     e) ||
	    !check_begun(s, findings, e))
		return err_wrap(e, "check");
	return true;
}

const char **session_targets(struct session *s)
{
	const struct migration *m = s->migration;
	const char **targets = arena_array(&s->arena, m->nflows, sizeof *targets);

	for (unsigned i = 0; i < m->nflows; i++)
		targets[i] = arena_qualified(&s->arena, m->flows[i].to.schema, m->flows[i].to.name);
	return targets;
}

static void put_flow(const struct flow_def *f, struct buf *b)
{
	buf_qualified(b, f->from.schema, f->from.name);
	buf_qualified(b, f->to.schema, f->to.name);
	for (unsigned k = 0; k < f->key.count; k++)
		buf_ident(b, f->key.names[k]);
	for (unsigned k = 0; k < f->owner.count; k++) {
		buf_puts(b, " owner ");
		buf_ident(b, f->owner.names[k]);
	}
	buf_puts(b, f->insert_only ? "insert_only" : "");
	buf_puts(b, f->select);
}

/* The bounds of the chunks are values of these columns. */
static void put_chunk_key(const struct table_plan *t, struct buf *b)
{
	buf_puts(b, t->quoted);
	for (unsigned i = 0; i < t->chunk.nkey; i++)
		buf_ident(b, t->columns[t->chunk.key[i]].name);
}

/* All that the slot, the chunks and the rows already copied were made by. */
static void put_identity(const struct session *s, struct buf *b)
{
	const struct migration *m = s->migration;

	buf_puts(b, m->decoder);
	for (unsigned i = 0; i < m->search_path.count; i++)
		buf_ident(b, m->search_path.names[i]);
	for (unsigned i = 0; i < m->nflows; i++)
		put_flow(&m->flows[i], b);
	for (unsigned i = 0; i < s->plan->ntables; i++)
		put_chunk_key(&s->plan->tables[i], b);
}

bool session_identity(struct session *s, struct session_identity *out, struct err *e)
{
	struct buf text = BUF_INIT;
	struct pg_result *r = NULL;

	put_identity(s, &text);
	const char *params[] = { buf_str(&text) };
	bool ok = pg_query_row(s->source,
			       "SELECT md5($1), system_identifier, current_database(), ('x' || "
			       "left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))"
			       "::bit(32)::int FROM pg_control_system()",
			       1, params, &r, e);
	if (ok)
		*out = (struct session_identity){ arena_strdup(&s->arena, pg_text(r, 0, 0)),
						  arena_strdup(&s->arena, pg_text(r, 0, 1)),
						  arena_strdup(&s->arena, pg_text(r, 0, 2)),
						  (int)pg_int(r, 0, 3) };
	pg_result_free(r);
	buf_free(&text);
	return ok || err_wrap(e, "identify the source");
}

static lsn_t later(lsn_t a, lsn_t b)
{
	return a > b ? a : b;
}

bool session_stand(struct session *s, struct err *e)
{
	const char *name = s->migration->name;
	struct ledger_migration *m;
	struct progress *p;
	struct heartbeat *h;

	if (!ledger_load(s->target, name, &s->arena, &m, e) ||
	    !progress_load(s->target, name, "forward", &s->arena, &p, e) ||
	    !heartbeat_load(s->target, name, &s->arena, &h, e))
		return false;
	if (!m)
		return err_set(e, ERR_CONFIG, "migration %s is not in the ledger any more", name);
	s->continuity = (struct continuity){ m->source_system, m->source_timeline, s->slot,
					     s->migration->decoder, m->slot_lsn };
	if (p)
		s->continuity.known = later(s->continuity.known, p->lsn);
	if (h)
		s->continuity.known = later(s->continuity.known, h->confirmed);
	return true;
}

bool session_check_source(struct session *s, struct continuity_slot *out, struct err *e)
{
	return continuity_check(s->source, &s->continuity, out, e);
}
