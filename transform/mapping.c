#include "transform/mapping.h"

#include "pg/conn.h"
#include "transform/options.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>

enum { NAME_MAX_LENGTH = 40 };

#define FIELD(type, member) .field = offsetof(struct type, member)
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const struct option top_options[] = {
	{ "migration", OPTION_TEXT, .required = true, FIELD(migration, name),
	  .help = "its name; names slot, publication and ledger rows" },
	{ "source", OPTION_TEXT, .required = true, FIELD(migration, source),
	  .help = "libpq conninfo of the old tables' database, without a password" },
	{ "target", OPTION_TEXT, .required = true, FIELD(migration, target),
	  .help = "libpq conninfo of the new tables' database, without a password" },
	{ "decoder", OPTION_CHOICE, .fallback = "pgoutput", .min = "pgoutput|wal2json",
	  FIELD(migration, decoder), .help = "output plugin of the slot" },
	{ "search_path", OPTION_NAMES, FIELD(migration, search_path),
	  .help = "schemas after pg_catalog that the SELECTs see" },
	{ "jobs", OPTION_COUNT, .fallback = "4", .min = "1", .max = "64", FIELD(migration, jobs),
	  .help = "copy workers" },
	{ "chunk_bytes", OPTION_BYTES, .fallback = "16MB", .min = "64kB", .max = "1GB",
	  FIELD(migration, chunk_bytes), .help = "size of a chunk of the copy" },
	{ "snapshot_max_age", OPTION_TIME, .fallback = "1h", .min = "1s", .max = "1d",
	  FIELD(migration, snapshot_max_age), .help = "how long a snapshot is held" },
	{ "memory", OPTION_BYTES, .fallback = "256MB", .min = "16MB", .max = "64GB",
	  FIELD(migration, memory), .help = "budget of the change stream" },
	{ "rejects", OPTION_COUNT, .fallback = "0", .min = "0", .max = "1000000",
	  FIELD(migration, rejects),
	  .help = "rows that may be put aside when the SELECT or the target refuses them" },
	{ "synchronous_commit", OPTION_CHOICE, .fallback = "off", .min = "off|on",
	  FIELD(migration, synchronous_commit),
	  .help = "on: each commit of the stream waits for the target's disk" },
	{ "cutover", OPTION_NODE, .help = "gates and limits of the cutover" },
	{ "switch", OPTION_NODE, .help = "what the cutover changes for the clients" },
	{ "hooks", OPTION_NODE, .help = "shell commands at transitions" },
	{ "flows", OPTION_NODE, .required = true, .help = "a list of from, to, key, select" },
};

static const struct option cutover_options[] = {
	{ "max_lag", OPTION_BYTES, .fallback = "16MB", .min = "0", .max = "64GB",
	  FIELD(cutover_def, max_lag), .help = "most lag to begin a cutover with" },
	{ "lock_timeout", OPTION_TIME, .fallback = "500ms", .min = "1ms", .max = "1min",
	  FIELD(cutover_def, lock_timeout), .help = "most that one try waits for its locks" },
	{ "max_pause", OPTION_TIME, .fallback = "3s", .min = "10ms", .max = "10min",
	  FIELD(cutover_def, max_pause), .help = "most that writes wait for the drain" },
	{ "tries", OPTION_COUNT, .fallback = "10", .min = "1", .max = "1000",
	  FIELD(cutover_def, tries), .help = "tries before a cutover is given up" },
	{ "sequence_headroom", OPTION_COUNT, .fallback = "1000", .min = "0", .max = "1000000000",
	  FIELD(cutover_def, sequence_headroom), .help = "numbers a sequence is moved ahead by" },
};

static const struct option switch_options[] = {
	{ "rename", OPTION_NODE, .help = "a list of table, to; done in order" },
	{ "search_path", OPTION_NODE, .help = "a list of role, path" },
	{ "source_sql", OPTION_TEXT, FIELD(switch_def, source_sql),
	  .place = offsetof(struct switch_def, source_sql_place),
	  .help = "SQL at the source, in the transaction of the switch" },
	{ "target_sql", OPTION_TEXT, FIELD(switch_def, target_sql),
	  .place = offsetof(struct switch_def, target_sql_place),
	  .help = "SQL at the target, right after the switch has committed" },
};

static const struct option rename_options[] = {
	{ "table", OPTION_TABLE, .required = true, FIELD(rename_def, table),
	  .place = offsetof(struct rename_def, place), .help = "the table, schema.name" },
	{ "to", OPTION_TABLE, .required = true, FIELD(rename_def, to),
	  .help = "its new schema.name" },
};

static const struct option search_path_options[] = {
	{ "role", OPTION_NAME, .required = true, FIELD(search_path_def, role),
	  .place = offsetof(struct search_path_def, place), .help = "whose search_path is set" },
	{ "path", OPTION_NAMES, .required = true, FIELD(search_path_def, path),
	  .help = "its schemas, in order" },
};

#define HOOK(which) .field = (which) * sizeof(const char *)

static const struct option hook_options[] = {
	{ "on_lag_zero", OPTION_TEXT, HOOK(HOOK_LAG_ZERO), .help = "when the lag is first zero" },
	{ "before_cutover", OPTION_TEXT, HOOK(HOOK_BEFORE_CUTOVER), .help = "before the locks" },
	{ "after_cutover", OPTION_TEXT, HOOK(HOOK_AFTER_CUTOVER), .help = "after the switch" },
	{ "on_error", OPTION_TEXT, HOOK(HOOK_ERROR), .help = "when the run stops with an error" },
};

static const struct option flow_options[] = {
	{ "from", OPTION_TABLE, .required = true, FIELD(flow_def, from),
	  .place = offsetof(struct flow_def, from_place), .help = "the old table, schema.name" },
	{ "to", OPTION_TABLE, .required = true, FIELD(flow_def, to),
	  .place = offsetof(struct flow_def, to_place), .help = "the new table, schema.name" },
	{ "key", OPTION_NAMES, FIELD(flow_def, key), .place = offsetof(struct flow_def, key_place),
	  .help = "columns of the new table that name a row; absent: it has no key" },
	{ "owner", OPTION_NAMES, FIELD(flow_def, owner),
	  .place = offsetof(struct flow_def, owner_place),
	  .help = "columns of the new table that identify the old row, where one makes several" },
	{ "insert_only", OPTION_BOOL, .fallback = "false", FIELD(flow_def, insert_only),
	  .help = "the old table takes no UPDATE or DELETE; they are not followed" },
	{ "only", OPTION_BOOL, .fallback = "false", FIELD(flow_def, only),
	  .help = "of an old table with inheritance children: read only its own rows" },
	{ "select", OPTION_TEXT, .required = true, FIELD(flow_def, select),
	  .help = "a SELECT over old that makes the new row" },
};

#define SET(variable, path, rows, what)                                                            \
	static const struct option_set variable = { path, what, COUNT_OF(rows), rows }

SET(top_set, "", top_options, "the migration file");
SET(cutover_set, "cutover", cutover_options, "gates and limits of the cutover");
SET(switch_set, "switch", switch_options, "what the cutover changes for the clients");
SET(rename_set, "switch.rename", rename_options, "one renamed table");
SET(search_path_set, "switch.search_path", search_path_options, "one role's search_path");
SET(hook_set, "hooks", hook_options, "shell commands at transitions");
SET(flow_set, "flows", flow_options, "one flow");

const struct option_set *const *migration_options(unsigned *count)
{
	static const struct option_set *const all[] = {
		&top_set,    &flow_set,        &cutover_set, &switch_set,
		&rename_set, &search_path_set, &hook_set,
	};

	*count = sizeof all / sizeof(void *);
	return all;
}

/* A list of mappings, one struct of size bytes each. */
static bool read_list(const struct option_set *set, const struct document *doc,
		      const struct node *list, size_t size, void **out, unsigned *count,
		      struct err *e)
{
	*count = 0;
	if (!list)
		return true;
	if (list->kind != NODE_SEQUENCE)
		return place_err(e, doc->file, list->place, "%s: want a list, got %s", set->name,
				 node_kind_name(list->kind));
	*out = arena_array(doc->arena, list->count, size);
	*count = list->count;
	for (unsigned i = 0; i < list->count; i++)
		if (!option_set_read(set, doc, list->items[i], (char *)*out + i * size, e))
			return false;
	return true;
}

/* A mapping that may be absent. */
static bool read_optional(const struct option_set *set, const struct document *doc, const char *key,
			  void *into, struct err *e)
{
	const struct node *n = node_get(doc->root, key);

	if (n)
		return option_set_read(set, doc, n, into, e);
	option_set_fallbacks(set, doc->arena, into);
	return true;
}

static bool read_switch(const struct document *doc, struct switch_def *s, struct err *e)
{
	const struct node *n = node_get(doc->root, "switch");
	void *renames = NULL, *paths = NULL;

	if (!n)
		return true;
	bool ok = option_set_read(&switch_set, doc, n, s, e) &&
		  read_list(&rename_set, doc, node_get(n, "rename"), sizeof *s->renames, &renames,
			    &s->nrenames, e) &&
		  read_list(&search_path_set, doc, node_get(n, "search_path"),
			    sizeof *s->search_paths, &paths, &s->nsearch_paths, e);
	s->renames = renames;
	s->search_paths = paths;
	return ok;
}

static bool check_name(const struct migration *m, const struct node *root, struct err *e)
{
	size_t len = strlen(m->name);
	bool ok = len > 0 && len <= NAME_MAX_LENGTH && islower((unsigned char)m->name[0]);

	for (size_t i = 0; i < len && ok; i++) {
		unsigned char c = (unsigned char)m->name[i];
		ok = islower(c) || isdigit(c) || c == '_' || c == '-';
	}
	if (!ok)
		return place_err(e, m->file, node_get(root, "migration")->place,
				 "migration: want [a-z][a-z0-9_-]{0,39}, got '%s'", m->name);
	return true;
}

/* Never shows the text: it may hold a password all the same. */
static bool check_conninfo(const struct migration *m, const struct node *root, const char *key,
			   struct err *e)
{
	const struct node *n = node_get(root, key);
	struct err cause = ERR_INIT;
	bool has_password = false;

	if (!pg_conninfo_check(n->text, &has_password, &cause))
		return place_err(e, m->file, n->place,
				 "%s: not a libpq conninfo; write key=value pairs or a "
				 "postgresql:// URI with options that libpq knows",
				 key);
	if (has_password)
		return place_err(e, m->file, n->place,
				 "%s: holds a password, and this file is read by many; put it into "
				 "~/.pgpass, a service file or PGPASSWORD",
				 key);
	return true;
}

static bool same_flow(const struct flow_def *a, const struct flow_def *b)
{
	return strcmp(a->from.schema, b->from.schema) == 0 &&
	       strcmp(a->from.name, b->from.name) == 0 && strcmp(a->to.schema, b->to.schema) == 0 &&
	       strcmp(a->to.name, b->to.name) == 0 && strcmp(a->select, b->select) == 0;
}

static bool check_twice(const struct migration *m, const char *what, const struct name_list *list,
			struct place place, struct err *e)
{
	for (unsigned i = 0; i < list->count; i++)
		for (unsigned j = 0; j < i; j++)
			if (strcmp(list->names[i], list->names[j]) == 0)
				return place_err(e, m->file, place,
						 "%s: '%s' stands twice; remove one", what,
						 list->names[i]);
	return true;
}

static bool check_flows(const struct migration *m, struct err *e)
{
	for (unsigned i = 0; i < m->nflows; i++) {
		const struct flow_def *f = &m->flows[i];
		if (!check_twice(m, "key", &f->key, f->key_place, e) ||
		    !check_twice(m, "owner", &f->owner, f->owner_place, e))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (same_flow(&m->flows[i], &m->flows[j]))
				return place_err(e, m->file, m->flows[i].place,
						 "the same flow stands at line %u; remove one",
						 m->flows[j].place.line);
	}
	return true;
}

static bool read_flows(struct migration *m, const struct document *doc, struct err *e)
{
	const struct node *list = node_get(doc->root, "flows");
	void *flows = NULL;

	if (!read_list(&flow_set, doc, list, sizeof *m->flows, &flows, &m->nflows, e))
		return false;
	m->flows = flows;
	for (unsigned i = 0; i < m->nflows; i++) {
		m->flows[i].place = list->items[i]->place;
		m->flows[i].select_lies = node_get(list->items[i], "select")->lies;
	}
	if (m->nflows == 0)
		return place_err(e, doc->file, list->place, "flows: the list is empty; add a flow");
	return true;
}

static bool read_migration(struct migration *m, const struct document *doc, struct err *e)
{
	return option_set_read(&top_set, doc, doc->root, m, e) && check_name(m, doc->root, e) &&
	       check_conninfo(m, doc->root, "source", e) &&
	       check_conninfo(m, doc->root, "target", e) &&
	       read_optional(&cutover_set, doc, "cutover", &m->cutover, e) &&
	       read_optional(&hook_set, doc, "hooks", m->hooks, e) &&
	       read_switch(doc, &m->switch_to, e) && read_flows(m, doc, e) && check_flows(m, e);
}

bool migration_load(const char *path, struct migration **out, struct err *e)
{
	struct migration *m = xcalloc(1, sizeof *m);
	struct document doc = { 0 };

	bool ok = document_load(path, &m->arena, &doc, e);
	m->file = doc.file;
	ok = ok && read_migration(m, &doc, e);
	if (!ok) {
		migration_destroy(m);
		m = NULL;
	}
	*out = m;
	return ok;
}

void migration_destroy(struct migration *m)
{
	if (!m)
		return;
	arena_finish(&m->arena);
	free(m);
}
