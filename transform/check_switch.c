#include "transform/check.h"

#include "pg/conn.h"
#include "pg/quote.h"
#include "transform/script.h"

static bool same_name(const struct table_name *a, const struct table_name *b)
{
	return strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

/* Is the name taken when rename i is done? The renames before it have moved names. */
static bool taken(struct check *c, unsigned i, const struct table_name *name, bool *out,
		  struct err *e)
{
	const char *params[] = { name->schema, name->name };
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->target.pg,
			       "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = "
			       "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
			       2, params, &r, e);

	*out = ok && pg_int(r, 0, 0) > 0;
	pg_result_free(r);
	for (unsigned k = 0; k < i; k++) {
		if (same_name(&c->m->switch_to.renames[k].table, name))
			*out = false;
		if (same_name(&c->m->switch_to.renames[k].to, name))
			*out = true;
	}
	return ok;
}

static bool schema_exists(struct check *c, const char *schema, bool *out, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->target.pg, "SELECT count(*) FROM pg_namespace WHERE nspname = $1",
			       1, &schema, &r, e);

	*out = ok && pg_int(r, 0, 0) > 0;
	pg_result_free(r);
	return ok;
}

static bool check_rename(struct check *c, unsigned i, struct err *e)
{
	const struct rename_def *r = &c->m->switch_to.renames[i];
	bool there = false, blocked = false, schema = false;

	if (!taken(c, i, &r->table, &there, e) || !taken(c, i, &r->to, &blocked, e) ||
	    !schema_exists(c, r->to.schema, &schema, e))
		return false;
	if (!there)
		check_fail_at(c, "switch", r->place,
			      "there is no table %s.%s to rename; correct the name or the order",
			      r->table.schema, r->table.name);
	else if (!schema)
		check_fail_at(c, "switch", r->place,
			      "there is no schema %s to move %s.%s to; create it", r->to.schema,
			      r->table.schema, r->table.name);
	else if (blocked)
		check_fail_at(c, "switch", r->place,
			      "%s.%s exists, so %s.%s cannot take its name; rename it away first",
			      r->to.schema, r->to.name, r->table.schema, r->table.name);
	return true;
}

/* --- what goes along --- */

/* $1 to $4: tables and what the renames before this one made of them; $5, $6: the table, by the
 * name of today; $7: the schema it goes to. An index or a sequence keeps its name there. */
static const char clashes_sql[] =
    "WITH moved AS (SELECT DISTINCT ON (rel) rel, schema, name"
    "  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"
    "   WITH ORDINALITY m(was_in, was, schema, name, no),"
    "   LATERAL (SELECT to_regclass(format('%I.%I', was_in, was))::oid AS rel) t"
    "  ORDER BY rel, no DESC),"
    " parts AS (SELECT indexrelid AS rel, indrelid AS whole FROM pg_index UNION ALL"
    "  SELECT s.oid, d.refobjid FROM pg_depend d JOIN pg_class s ON s.oid = d.objid"
    "  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    "  AND d.deptype IN ('a', 'i') AND s.relkind = 'S'),"
    " placed AS (SELECT p.whole, coalesce(m.schema, n.nspname) AS schema,"
    "  CASE WHEN m.rel = c.oid THEN m.name ELSE c.relname END AS name"
    "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  LEFT JOIN parts p ON p.rel = c.oid LEFT JOIN moved m ON m.rel = coalesce(p.whole, c.oid)) "
    "SELECT string_agg(quote_ident(own.name), ', ' ORDER BY own.name) FROM placed own"
    " WHERE own.whole = to_regclass(format('%I.%I', $5::text, $6::text)) AND EXISTS"
    " (SELECT FROM placed other WHERE other.schema = $7 AND other.name = own.name)";

/* The name that the table has today: the renames before it have moved names. */
static const struct table_name *today(const struct check *c, unsigned i)
{
	const struct table_name *name = &c->m->switch_to.renames[i].table;

	while (i-- > 0)
		if (same_name(&c->m->switch_to.renames[i].to, name))
			name = &c->m->switch_to.renames[i].table;
	return name;
}

static bool check_what_goes_along(struct check *c, unsigned i, struct err *e)
{
	const struct rename_def *r = &c->m->switch_to.renames[i];
	const char **texts[4];
	struct pg_result *q = NULL;

	if (strcmp(r->table.schema, r->to.schema) == 0)
		return true;
	for (unsigned t = 0; t < 4; t++)
		texts[t] = arena_array(c->arena, i + 1UL, sizeof **texts);
	for (unsigned k = 0; k < i; k++) {
		texts[0][k] = today(c, k)->schema;
		texts[1][k] = today(c, k)->name;
		texts[2][k] = c->m->switch_to.renames[k].to.schema;
		texts[3][k] = c->m->switch_to.renames[k].to.name;
	}
	const char *params[] = { arena_text_array(c->arena, texts[0], i),
				 arena_text_array(c->arena, texts[1], i),
				 arena_text_array(c->arena, texts[2], i),
				 arena_text_array(c->arena, texts[3], i),
				 today(c, i)->schema,
				 today(c, i)->name,
				 r->to.schema };
	bool ok = pg_query_row(c->target.pg, clashes_sql, 7, params, &q, e);
	if (ok && pg_value(q, 0, 0))
		check_fail_at(c, "switch", r->place,
			      "%s.%s cannot move to schema %s, where names of its indexes or "
			      "sequences are taken: %s; rename these, or move what has the names "
			      "away first",
			      r->table.schema, r->table.name, r->to.schema, pg_text(q, 0, 0));
	pg_result_free(q);
	return ok;
}

static const char rename_sql[] = "SELECT pg_has_role(c.relowner, 'USAGE'), c.relowner::regrole,"
				 " has_schema_privilege($3, 'CREATE'), quote_ident($3),"
				 " has_schema_privilege($4, 'CREATE'), quote_ident($4)"
				 " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
				 " WHERE n.nspname = $1 AND c.relname = $2";

static void need_schema(struct check *c, const struct rename_def *r, const char *schema)
{
	check_fail_at(c, "switch", r->place,
		      "role %s has no CREATE on schema %s, which renaming %s.%s takes; run: GRANT "
		      "CREATE ON SCHEMA %s TO %s;",
		      c->target.user, schema, r->table.schema, r->table.name, schema,
		      c->target.user);
}

static bool check_rename_rights(struct check *c, unsigned i, struct err *e)
{
	const struct rename_def *r = &c->m->switch_to.renames[i];
	const struct table_name *now = today(c, i);
	const char *params[] = { now->schema, now->name, r->table.schema, r->to.schema };
	struct pg_result *q = NULL;
	bool ok = pg_query(c->target.pg, rename_sql, 4, params, &q, e);

	if (ok && pg_rows(q) == 1) {
		if (!pg_bool(q, 0, 0))
			check_fail_at(c, "switch", r->place,
				      "role %s does not own %s.%s, which renaming it takes; run: "
				      "GRANT %s TO %s;",
				      c->target.user, now->schema, now->name, pg_text(q, 0, 1),
				      c->target.user);
		if (strcmp(r->table.name, r->to.name) != 0 && !pg_bool(q, 0, 2))
			need_schema(c, r, pg_text(q, 0, 3));
		else if (strcmp(r->table.schema, r->to.schema) != 0 && !pg_bool(q, 0, 4))
			need_schema(c, r, pg_text(q, 0, 5));
	}
	pg_result_free(q);
	return ok;
}

/* --- roles --- */

/* ADMIN counts from 16 on, when CREATEROLE alone no longer reaches every role. */
static const char role_sql[] =
    "SELECT r.rolname = current_user, r.rolsuper, u.rolsuper,"
    " u.rolcreaterole AND (current_setting('server_version_num')::int < 160000"
    "  OR pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')), quote_ident(r.rolname)"
    " FROM pg_roles r, pg_roles u WHERE r.rolname = $1 AND u.rolname = current_user";

static void judge_role(struct check *c, const struct search_path_def *s, const struct pg_result *r)
{
	bool self = pg_bool(r, 0, 0), super = pg_bool(r, 0, 2);

	if (pg_bool(r, 0, 1) && !super)
		check_fail_at(c, "switch", s->place,
			      "role %s is a superuser, and only superusers may set its "
			      "search_path; set it in the clients' own configuration",
			      pg_text(r, 0, 4));
	else if (!self && !super && !pg_bool(r, 0, 3))
		check_fail_at(c, "switch", s->place,
			      "role %s may not set search_path of role %s; run as a superuser: "
			      "ALTER ROLE %s CREATEROLE;%s%s%s%s%s",
			      c->target.user, pg_text(r, 0, 4), c->target.user,
			      pg_server_version(c->target.pg) >= 160000 ? " GRANT " : "",
			      pg_server_version(c->target.pg) >= 160000 ? pg_text(r, 0, 4) : "",
			      pg_server_version(c->target.pg) >= 160000 ? " TO " : "",
			      pg_server_version(c->target.pg) >= 160000 ? c->target.user : "",
			      pg_server_version(c->target.pg) >= 160000 ? " WITH ADMIN OPTION;"
									: "");
}

static bool check_role(struct check *c, const struct search_path_def *s, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(c->target.pg, role_sql, 1, &s->role, &r, e);

	if (ok && pg_rows(r) == 0)
		check_fail_at(c, "switch", s->place,
			      "there is no role \"%s\" to set search_path of; correct the name",
			      s->role);
	else if (ok)
		judge_role(c, s, r);
	pg_result_free(r);
	return ok;
}

/* --- SQL of the user's --- */

static bool check_script(struct check *c, const struct server *s, const char *text,
			 struct place place, struct err *e)
{
	struct query_fault fault;
	struct script script;
	bool ok = true;

	if (!text)
		return true;
	if (!script_parse(c->arena, text, &script, &fault)) {
		check_fail_at(c, "switch", place, "%s", fault.text);
		return true;
	}
	for (unsigned i = 0; ok && i < script.nroles; i++) {
		struct pg_result *r = NULL;
		ok = pg_query(s->pg, "SELECT FROM pg_roles WHERE rolname = $1", 1, &script.roles[i],
			      &r, e);
		if (ok && pg_rows(r) == 0)
			check_fail_at(c, "switch", place,
				      "there is no role \"%s\" at the %s; correct the name, or "
				      "create it",
				      script.roles[i], s == &c->source ? "source" : "target");
		pg_result_free(r);
	}
	return ok;
}

static bool check_clients(struct check *c, const struct switch_def *s, struct err *e)
{
	unsigned failures = c->findings->failures;
	bool ok = true;

	for (unsigned i = 0; ok && i < s->nrenames; i++)
		ok = check_rename(c, i, e) &&
		     (c->findings->failures > failures ||
		      (check_what_goes_along(c, i, e) && check_rename_rights(c, i, e)));
	for (unsigned i = 0; ok && i < s->nsearch_paths; i++)
		ok = check_role(c, &s->search_paths[i], e);
	return ok;
}

bool check_switch(struct check *c, struct err *e)
{
	const struct switch_def *s = &c->m->switch_to;
	bool ok = true;

	if (!c->one_database && (s->nrenames || s->nsearch_paths))
		check_fail_at(
		    c, "switch", s->nrenames ? s->renames[0].place : s->search_paths[0].place,
		    "%s moves clients within one database, and source and target are two; "
		    "use target_sql, a hook or the clients' own configuration",
		    s->nrenames ? "rename" : "search_path");
	else
		ok = check_clients(c, s, e);
	return ok && check_script(c, &c->source, s->source_sql, s->source_sql_place, e) &&
	       check_script(c, &c->target, s->target_sql, s->target_sql_place, e);
}
