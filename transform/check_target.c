/* What stands in the new tables, and what the copy takes off them for a while. */
#include "transform/check.h"

#include "pg/conn.h"
#include "pg/ddl.h"
#include "pg/quote.h"

#include <inttypes.h>

static bool check_empty(struct check *c, const struct flow *f, struct err *e)
{
	bool empty;

	if (c->started)
		return true; /* it is being filled */
	if (!ddl_is_empty(c->target.pg, arena_qualified(c->arena, f->to->schema, f->to->name),
			  &empty, e))
		return false;
	if (!empty)
		check_fail_at(c, f->subject, f->def->to_place,
			      "target table %s.%s is not empty, and a migration starts with empty "
			      "targets; empty it, or name another table",
			      f->to->schema, f->to->name);
	return true;
}

/*
 * $1: the target table; $2: those of all flows; $3: the flow's key columns. Counts by kind of what
 * is put away; tables outside the migration that this one refers to; what is unique and stays,
 * the flow's own key left out.
 */
static const char definitions_sql[] =
    "WITH ours AS (SELECT to_regclass(t)::oid AS rel FROM unnest($2::text[]) t UNION"
    "  SELECT p.relid FROM unnest($2::text[]) t, pg_partition_tree(to_regclass(t)) p),"
    " indexes AS (SELECT x.relname, i.indisunique OR i.indisexclusion AS alone,"
    "  i.indisreplident OR NOT i.indisvalid OR EXISTS (SELECT FROM pg_depend d"
    "   LEFT JOIN pg_constraint f ON d.classid = 'pg_constraint'::regclass AND f.oid = d.objid"
    "   WHERE d.deptype = 'n' AND (f.conrelid = ANY (SELECT rel FROM ours)) IS NOT TRUE"
    "   AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indexrelid"
    "    OR d.refclassid = 'pg_constraint'::regclass AND d.refobjid = c.oid)) AS stays,"
    "  (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a"
    "   WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))"
    "  = (SELECT array_agg(k ORDER BY k) FROM unnest($3::text[]) k) AS flow_key"
    "  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    "  LEFT JOIN pg_constraint c ON c.conindid = x.oid AND c.contype IN ('p', 'u', 'x')"
    "  WHERE i.indrelid = $1::oid) "
    "SELECT (SELECT count(*) FROM indexes WHERE NOT alone AND NOT stays),"
    " (SELECT count(*) FROM indexes WHERE alone AND NOT stays),"
    " (SELECT count(*) FROM pg_constraint WHERE conrelid = $1::oid AND contype = 'f'),"
    " (SELECT string_agg(DISTINCT format('%I.%I', n.nspname, p.relname), ', ') FROM pg_constraint c"
    "  JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace n ON n.oid = p.relnamespace"
    "  WHERE c.conrelid = $1::oid AND c.contype = 'f' AND NOT p.oid"
    "   = ANY (SELECT to_regclass(t) FROM unnest($2::text[]) t)),"
    " (SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname) FROM indexes"
    "  WHERE alone AND stays AND flow_key IS NOT TRUE)";

static const char *target_array(struct check *c)
{
	const char **names = arena_array(c->arena, c->m->nflows, sizeof *names);
	struct buf all = BUF_INIT;

	for (unsigned i = 0; i < c->m->nflows; i++) {
		const struct table_name *to = &c->m->flows[i].to;
		names[i] = arena_qualified(c->arena, to->schema, to->name);
	}
	buf_text_array(&all, names, c->m->nflows);
	return sql_text(c->arena, &all);
}

/* As snapshot/definitions.c puts them away: a lookup's indexes stay, and all that is unique
 * where rows may be put aside. */
static void report_definitions(struct check *c, const struct flow *f, const struct pg_result *r)
{
	int64_t plain = f->lookup ? 0 : pg_int(r, 0, 0);
	int64_t unique = f->lookup || c->m->rejects ? 0 : pg_int(r, 0, 1);
	int64_t foreign = pg_int(r, 0, 2);

	if (plain + unique + foreign)
		check_pass(c, f->subject,
			   "put away for the copy and built again after it: %" PRId64
			   " indexes, %" PRId64 " unique ones, %" PRId64 " foreign keys",
			   plain, unique, foreign);
}

/* Chunks of several snapshots are not one moment of the source. With rejects it is put aside. */
static void warn_of_unique(struct check *c, const struct flow *f, const char *names)
{
	if (*names && !f->lookup && !c->m->rejects)
		check_warn(c, f->subject,
			   "%s of %s.%s stays in place while copying, as something outside the "
			   "flows rests on it or it is the replica identity, so a value of it that "
			   "goes from one row to another meanwhile may stop the run; drop what "
			   "rests on it until the stream is past the consistent point, or raise "
			   "snapshot_max_age",
			   names, f->to->schema, f->to->name);
}

static bool check_definitions(struct check *c, const struct flow *f, struct err *e)
{
	struct buf key = BUF_INIT;
	struct pg_result *r = NULL;

	buf_text_array(&key, f->def->key.names, f->def->key.count);
	const char *params[] = { arena_printf(c->arena, "%" PRIu32, f->to->oid), target_array(c),
				 sql_text(c->arena, &key) };
	bool ok = pg_query_row(c->target.pg, definitions_sql, 3, params, &r, e);

	if (ok && !c->started) {
		report_definitions(c, f, r);
		warn_of_unique(c, f, pg_text(r, 0, 4));
	}
	if (ok && pg_value(r, 0, 3))
		check_warn(c, f->subject,
			   "%s.%s refers to %s, which no flow fills; see that its rows are there "
			   "before the stream is past the consistent point",
			   f->to->schema, f->to->name, pg_text(r, 0, 3));
	pg_result_free(r);
	return ok;
}

/* --- what a row only points to --- */

static bool has_large_objects(struct check *c, bool *any, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->source.pg, "SELECT EXISTS (SELECT FROM pg_largeobject_metadata)",
			       0, NULL, &r, e);

	*any = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

static bool check_large_objects(struct check *c, const struct flow *f, struct err *e)
{
	enum { OID = 26 };
	bool any;

	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		const struct catalog_column *s = &f->from->columns[i];
		if (!f->query->reads[i] || s->base_oid != OID)
			continue;
		if (!has_large_objects(c, &any, e))
			return false;
		if (any)
			check_warn(
			    c, f->subject,
			    "column \"%s\" is of type %s and the database has large objects; "
			    "if it refers to them, move their content yourself, only the "
			    "number is copied",
			    s->name, s->type);
	}
	return true;
}

/* --- functions that take a setting of the session --- */

static bool takes_text_search_config(const struct query_name *n)
{
	static const struct {
		const char *name;
		unsigned nargs;
	} list[] = {
		{ "to_tsvector", 1 },      { "to_tsquery", 1 },           { "plainto_tsquery", 1 },
		{ "phraseto_tsquery", 1 }, { "websearch_to_tsquery", 1 }, { "ts_headline", 2 },
	};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (strcmp(n->name, list[i].name) == 0 && n->nargs == list[i].nargs)
			return true;
	return false;
}

static void check_text_search(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->functions.count; i++)
		if (takes_text_search_config(&f->query->functions.names[i]))
			check_warn(c, f->subject,
				   "%s() without a configuration takes default_text_search_config "
				   "of the database or role, which may change; name it, as in "
				   "to_tsvector('english', ...)",
				   f->query->functions.names[i].name);
}

/* --- functions that take the date of today --- */

static bool reads_timetz(const struct flow *f)
{
	enum { TIMETZ = 1266 };

	for (unsigned i = 0; i < f->query->types.count; i++)
		if (strcmp(f->query->types.names[i].name, "timetz") == 0)
			return true;
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i] && f->from->columns[i].base_oid == TIMETZ)
			return true;
	return false;
}

/* Which of its functions is meant depends on types that only the server knows. */
static void check_time_zone(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->functions.count; i++) {
		const struct query_name *n = &f->query->functions.names[i];
		if (strcmp(n->name, "timezone") != 0 || n->nargs != 2 || !reads_timetz(f))
			continue;
		check_warn(c, f->subject,
			   "AT TIME ZONE of a time with time zone takes a named zone's offset of "
			   "the day on which it runs, so that replaying may give another row; if "
			   "the SELECT does that, write the offset, as in INTERVAL '-05:00'");
		return;
	}
}

bool check_target(struct check *c, struct flow *f, struct err *e)
{
	check_text_search(c, f);
	check_time_zone(c, f);
	return check_empty(c, f, e) && check_definitions(c, f, e) && check_large_objects(c, f, e);
}
