#include "transform/check.h"

#include "pg/conn.h"

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

static bool check_role(struct check *c, const struct search_path_def *s, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->target.pg, "SELECT count(*) FROM pg_roles WHERE rolname = $1", 1,
			       &s->role, &r, e);

	if (ok && pg_int(r, 0, 0) == 0)
		check_fail_at(c, "switch", s->place,
			      "there is no role \"%s\" to set search_path of; correct the name",
			      s->role);
	pg_result_free(r);
	return ok;
}

bool check_switch(struct check *c, struct err *e)
{
	const struct switch_def *s = &c->m->switch_to;
	bool ok = true;

	if (!c->one_database && (s->nrenames || s->nsearch_paths)) {
		check_fail_at(
		    c, "switch", s->nrenames ? s->renames[0].place : s->search_paths[0].place,
		    "%s moves clients within one database, and source and target are two; "
		    "use target_sql, a hook or the clients' own configuration",
		    s->nrenames ? "rename" : "search_path");
		return true;
	}
	for (unsigned i = 0; ok && i < s->nrenames; i++)
		ok = check_rename(c, i, e);
	for (unsigned i = 0; ok && i < s->nsearch_paths; i++)
		ok = check_role(c, &s->search_paths[i], e);
	return ok;
}
