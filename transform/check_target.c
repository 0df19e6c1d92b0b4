/* What stands in the new tables, and what the copy takes off them for a while. */
#include "transform/check.h"

#include "pg/away.h"
#include "pg/ddl.h"
#include "pg/quote.h"

#include <string.h>

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

/* --- what is put away for the copy --- */

const char *check_targets(struct check *c)
{
	const char **names = arena_array(c->arena, c->m->nflows, sizeof *names);

	for (unsigned i = 0; i < c->m->nflows; i++) {
		const struct table_name *to = &c->m->flows[i].to;
		names[i] = arena_qualified(c->arena, to->schema, to->name);
	}
	return arena_text_array(c->arena, names, c->m->nflows);
}

struct counts {
	unsigned plain, unique, foreign;
	const char *stay; /* unique ones that do, but for the flow's own key; "": none */
};

static void count(struct check *c, struct counts *n, const struct pg_result *r, unsigned row)
{
	const char *kind = pg_text(r, row, AWAY_KIND), *stays = pg_value(r, row, AWAY_STAYS);
	bool plain = strcmp(kind, "index") == 0, foreign = strcmp(kind, "foreign key") == 0;

	n->plain += !stays && plain;
	n->foreign += !stays && foreign;
	n->unique += !stays && !plain && !foreign;
	if (stays && !plain && !pg_bool(r, row, AWAY_FLOW_KEY) &&
	    (strcmp(stays, "rested") == 0 || strcmp(stays, "held") == 0))
		n->stay = arena_printf(c->arena, "%s%s%s", n->stay, *n->stay ? ", " : "",
				       pg_text(r, row, AWAY_NAME));
}

static bool count_all(struct check *c, const struct away_scope *scope, struct counts *n,
		      struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = true;

	for (int turn = 0; ok && turn < 2; turn++) {
		ok = away_list(c->target.pg, scope, turn == 0, &r, e);
		for (unsigned i = 0; ok && i < pg_rows(r); i++)
			count(c, n, r, i);
		pg_result_free(r);
		r = NULL;
	}
	return ok;
}

static void report_definitions(struct check *c, const struct flow *f, const struct counts *n)
{
	if (n->plain + n->unique + n->foreign)
		check_pass(c, f->subject,
			   "put away for the copy and built again after it: %u indexes, %u unique "
			   "ones, %u foreign keys",
			   n->plain, n->unique, n->foreign);
	/* chunks of several snapshots are not one moment of the source */
	if (*n->stay)
		check_warn(c, f->subject,
			   "%s of %s.%s stays in place while copying, as something outside the "
			   "flows rests on it or it is the replica identity, so a value of it that "
			   "goes from one row to another meanwhile may stop the run; drop what "
			   "rests on it until the stream is past the consistent point, or raise "
			   "snapshot_max_age",
			   n->stay, f->to->schema, f->to->name);
}

/* $1: the target table; $2: those of all flows. */
static const char outside_sql[] =
    "SELECT string_agg(DISTINCT format('%I.%I', n.nspname, p.relname), ', ') FROM pg_constraint c"
    " JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace n ON n.oid = p.relnamespace"
    " WHERE c.conrelid = to_regclass($1) AND c.contype = 'f'"
    " AND NOT p.oid = ANY (SELECT to_regclass(t) FROM unnest($2::text[]) t)";

static bool warn_of_outside(struct check *c, const struct flow *f, const struct away_scope *scope,
			    struct err *e)
{
	const char *params[] = { scope->target, scope->targets };
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->target.pg, outside_sql, 2, params, &r, e);

	if (ok && pg_value(r, 0, 0))
		check_warn(c, f->subject,
			   "%s.%s refers to %s, which no flow fills; see that its rows are there "
			   "before the stream is past the consistent point",
			   f->to->schema, f->to->name, pg_text(r, 0, 0));
	pg_result_free(r);
	return ok;
}

static bool check_definitions(struct check *c, const struct flow *f, struct err *e)
{
	const struct away_scope scope = { f->plan->target, check_targets(c), f->plan->key_array,
					  f->lookup, c->m->rejects };
	struct counts n = { .stay = "" };

	if (!c->started) {
		if (!count_all(c, &scope, &n, e))
			return false;
		report_definitions(c, f, &n);
	}
	return warn_of_outside(c, f, &scope, e);
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

static void check_times(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->times.count; i++)
		check_warn(c, f->subject,
			   "'%s' depends on when it runs where it stands for a time, so that "
			   "replaying may give another row; if it does, use a column of old, if "
			   "it is a word, write '%s'::text",
			   f->query->times.names[i].name, f->query->times.names[i].name);
}

/* --- functions that take a collation --- */

/* Does anything but an output that is the column itself read it? */
static bool computes_with(const struct flow *f, unsigned column)
{
	bool yes = f->query->filter.column[column] || f->query->from.column[column];

	for (unsigned i = 0; i < f->query->noutputs; i++)
		yes |= f->query->outputs[i].reads.column[column] && !f->query->outputs[i].plain;
	return yes;
}

static void check_collations(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		const struct catalog_column *s = &f->from->columns[i];
		if (catalog_own_collation(s) && computes_with(f, i))
			check_warn(c, f->subject,
				   "column \"%s\" has collation %s, and in the SELECT that of its "
				   "type, while copying as in the stream; where =, < or upper() "
				   "should go by it, write %s COLLATE %s",
				   s->name, s->collation, arena_ident(c->arena, s->name),
				   s->collation);
	}
}

bool check_target(struct check *c, struct flow *f, struct err *e)
{
	check_text_search(c, f);
	check_time_zone(c, f);
	check_times(c, f);
	check_collations(c, f);
	return check_empty(c, f, e) && check_definitions(c, f, e) && check_large_objects(c, f, e);
}
