/*
 * A change may be applied again after a crash, and a row may be copied or streamed: each
 * time the SELECT must give the same row. PostgreSQL calls functions that do not promise
 * that volatile; stable ones promise it within one statement only, so those whose answer
 * changes between statements or sessions are listed here.
 */
#include "transform/check.h"

#include "pg/conn.h"
#include "pg/quote.h"

static const struct {
	const char *name;
	int nargs; /* -1: any */
	const char *why;
} denied[] = {
	{ "now", -1, "depends on when it runs" },
	{ "statement_timestamp", -1, "depends on when it runs" },
	{ "transaction_timestamp", -1, "depends on when it runs" },
	{ "age", 1, "with one argument depends on when it runs" },
	{ "pg_postmaster_start_time", -1, "depends on when the server was started" },
	{ "pg_conf_load_time", -1, "depends on when the server was configured" },
	{ "txid_current", -1, "depends on the transaction it runs in" },
	{ "txid_current_if_assigned", -1, "depends on the transaction it runs in" },
	{ "txid_current_snapshot", -1, "depends on the transaction it runs in" },
	{ "pg_current_xact_id", -1, "depends on the transaction it runs in" },
	{ "pg_current_xact_id_if_assigned", -1, "depends on the transaction it runs in" },
	{ "pg_current_snapshot", -1, "depends on the transaction it runs in" },
	{ "current_setting", -1, "depends on the session it runs in" },
	{ "current_schema", -1, "depends on the session it runs in" },
	{ "current_schemas", -1, "depends on the session it runs in" },
	{ "current_database", -1, "depends on the session it runs in" },
	{ "inet_client_addr", -1, "depends on the session it runs in" },
	{ "inet_client_port", -1, "depends on the session it runs in" },
	{ "inet_server_addr", -1, "depends on the session it runs in" },
	{ "inet_server_port", -1, "depends on the session it runs in" },
	{ "pg_backend_pid", -1, "depends on the session it runs in" },
	{ "pg_my_temp_schema", -1, "depends on the session it runs in" },
	{ "getpgusername", -1, "depends on the session it runs in" },
	{ "version", -1, "depends on the server it runs on" },
	{ "query_to_xml", -1, "reads other tables" },
	{ "table_to_xml", -1, "reads other tables" },
	{ "to_regclass", -1, "reads the catalog" },
};

/* PostgreSQL 14 calls one of AT TIME ZONE's functions volatile, that of timetz; of it check_target
 * warns on every version. */
static const char function_sql[] =
    "SELECT count(*), coalesce(bool_or(p.provolatile = 'v' AND p.prosrc <> 'timetz_zone'), false),"
    " coalesce(bool_or(p.prokind = 'a'), false), coalesce(bool_or(p.proretset), false),"
    " coalesce(bool_or(n.nspname <> 'pg_catalog'), true)"
    " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = $1"
    " AND CASE WHEN $2::text IS NULL THEN n.nspname = ANY (current_schemas(true))"
    " ELSE n.nspname = $2 END";

static const char operator_sql[] =
    "SELECT count(*), coalesce(bool_or(p.provolatile = 'v'), false), false, false,"
    " coalesce(bool_or(n.nspname <> 'pg_catalog'), true)"
    " FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace"
    " LEFT JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oprname = $1"
    " AND CASE WHEN $2::text IS NULL THEN n.nspname = ANY (current_schemas(true))"
    " ELSE n.nspname = $2 END";

/* $3: the types of what the flow reads: others may have casts of their own. */
static const char type_sql[] =
    "SELECT count(*), coalesce(bool_or(EXISTS (SELECT FROM pg_cast k JOIN pg_proc p"
    "  ON p.oid = k.castfunc WHERE k.casttarget = t.oid AND p.provolatile = 'v'"
    "  AND k.castsource IN (SELECT coalesce(nullif(s.typbasetype, 0), s.oid)"
    "   FROM unnest($3::text[]) r JOIN pg_type s ON s.oid = to_regtype(r)))), false),"
    " false, false, coalesce(bool_or(n.nspname <> 'pg_catalog'), true)"
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typname = $1"
    " AND CASE WHEN $2::text IS NULL THEN n.nspname = ANY (current_schemas(true))"
    " ELSE n.nspname = $2 END";

/* What the target has under a name, all overloads together. */
struct meaning {
	bool is_volatile, aggregate, set, foreign;
};

/* types: type_sql's $3; NULL: another sql. */
static bool look_up(struct check *c, const char *sql, const struct query_name *n, const char *types,
		    struct meaning *out, struct err *e)
{
	const char *params[] = { n->name, n->schema, types };
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->target.pg, sql, types ? 3 : 2, params, &r, e);

	if (ok)
		*out = (struct meaning){ pg_bool(r, 0, 1), pg_bool(r, 0, 2), pg_bool(r, 0, 3),
					 pg_bool(r, 0, 4) };
	pg_result_free(r);
	return ok;
}

static const char *denial(const struct query_name *n)
{
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
		if (strcmp(denied[i].name, n->name) == 0 &&
		    (denied[i].nargs < 0 || (unsigned)denied[i].nargs == n->nargs) &&
		    (!n->schema || strcmp(n->schema, "pg_catalog") == 0))
			return denied[i].why;
	return NULL;
}

/* How many rows an item of FROM gives is often its function's affair. */
static void judge_item(const struct flow *f, const struct query_name *n, const struct meaning *m)
{
	struct query_item *item = n->item ? &f->query->items[n->item - 1] : NULL;

	if (item && m->set && !item->limited)
		item->many = true;
	else if (item && m->aggregate && !item->groups)
		item->many = false;
}

static void judge_function(struct check *c, const struct flow *f, const struct query_name *n,
			   const struct meaning *m)
{
	const char *why = denial(n);

	if (why)
		check_fail_select(c, f, n->at,
				  "%s() %s, and replaying must give the same row; use a column of "
				  "old",
				  n->name, why);
	else if (m->is_volatile)
		check_fail_select(c, f, n->at,
				  "%s() is volatile, and replaying must give the same row; use a "
				  "column of old or a function that is IMMUTABLE or STABLE",
				  n->name);
	else if (m->aggregate && n->top)
		check_fail_select(
		    c, f, n->at,
		    "%s() looks at several rows, and a row flow sees one row at a time; compute "
		    "the value from the row itself",
		    n->name);
	else if (m->aggregate && n->of_old)
		check_fail_select(
		    c, f, n->at,
		    "%s() is given columns of old alone, and would look at several changed rows; "
		    "write table.column for those of the table in its FROM",
		    n->name);
	else if (m->set && n->top)
		check_fail_select(
		    c, f, n->at,
		    "%s() returns a set; pick one value, or for several rows of one row write it "
		    "in FROM, as LATERAL %s(...), and name the flow's owner",
		    n->name, n->name);
	else
		judge_item(f, n, m);
}

static bool check_functions(struct check *c, const struct flow *f, bool *builtin, struct err *e)
{
	for (unsigned i = 0; i < f->query->functions.count; i++) {
		const struct query_name *n = &f->query->functions.names[i];
		struct meaning m;
		if (!look_up(c, function_sql, n, NULL, &m, e))
			return false;
		judge_function(c, f, n, &m);
		*builtin &= !m.foreign;
	}
	return true;
}

/* Their names, a text[]. */
static const char *types_read(struct check *c, const struct flow *f)
{
	const char **names = arena_array(c->arena, f->from->ncolumns, sizeof *names);
	unsigned n = 0;

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i])
			names[n++] = f->from->columns[i].bare_type;
	return arena_text_array(c->arena, names, n);
}

/* types: see look_up(). */
static bool check_names(struct check *c, const struct flow *f, const char *sql, const char *types,
			const struct query_names *names, bool *builtin, struct err *e)
{
	for (unsigned i = 0; i < names->count; i++) {
		const struct query_name *n = &names->names[i];
		struct meaning m;
		if (!look_up(c, sql, n, types, &m, e))
			return false;
		if (m.is_volatile)
			check_fail_select(
			    c, f, n->at,
			    "%s is a volatile operator or cast, and replaying must give "
			    "the same row; use another one, or declare its function "
			    "IMMUTABLE or STABLE if it is",
			    n->name);
		*builtin &= !m.foreign;
	}
	return true;
}

bool check_pure(struct check *c, const struct flow *f, bool *builtin, struct err *e)
{
	*builtin = !f->query->collates;
	return check_functions(c, f, builtin, e) &&
	       check_names(c, f, operator_sql, NULL, &f->query->operators, builtin, e) &&
	       check_names(c, f, type_sql, types_read(c, f), &f->query->types, builtin, e);
}
