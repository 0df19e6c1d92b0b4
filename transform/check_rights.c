/*
 * May the role do in each database what run, cutover and abort will do there? Each row is
 * one right that some statement of theirs needs; docs/privileges.md lists the same.
 */
#include "transform/check.h"

#include "pg/conn.h"
#include "pg/quote.h"

static const char database_sql[] =
    "SELECT quote_ident(current_database()), quote_ident(current_user),"
    " has_database_privilege(current_database(), 'CREATE'),"
    " has_database_privilege(current_database(), 'TEMP'),"
    " n.nspowner::regrole, pg_has_role(n.nspowner, 'USAGE')"
    " FROM (SELECT) one LEFT JOIN pg_namespace n ON n.nspname = 'pgcrossfade'";

/* PUBLIC may execute them, unless somebody revoked that. The message has one more argument since
 * PostgreSQL 17. */
static const char functions_sql[] =
    "SELECT string_agg(f, ', ') FROM unnest(ARRAY['pg_control_system()',"
    " 'pg_logical_emit_message(boolean,text,text)',"
    " 'pg_logical_emit_message(boolean,text,text,boolean)', 'pg_current_wal_insert_lsn()',"
    " 'pg_drop_replication_slot(name)', 'pg_notify(text,text)',"
    " 'pg_try_advisory_lock(integer,integer)', 'pg_advisory_xact_lock(bigint)']) f"
    " WHERE NOT has_function_privilege(to_regprocedure(f), 'EXECUTE')";

static const char publication_sql[] =
    "SELECT quote_ident(pubname), pubowner::regrole FROM pg_publication"
    " WHERE pubname::text IN ($1::text, $1::text || '_inserts') AND NOT pg_has_role(pubowner, 'USAGE')";

static bool check_functions(struct check *c, const struct server *s, bool *all, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(s->pg, functions_sql, 0, NULL, &r, e);

	*all = ok && !pg_value(r, 0, 0);
	if (ok && !*all)
		check_fail(c, s->subject,
			   "role %s may not execute %s, which pgcrossfade calls; run as a "
			   "superuser: GRANT EXECUTE ON FUNCTION %s TO %s;",
			   s->user, pg_text(r, 0, 0), pg_text(r, 0, 0), s->user);
	pg_result_free(r);
	return ok;
}

static void judge_database(struct check *c, struct server *s, const struct pg_result *r)
{
	const char *owner = pg_value(r, 0, 4);

	s->dbname = arena_strdup(c->arena, pg_text(r, 0, 0));
	s->user = arena_strdup(c->arena, pg_text(r, 0, 1));
	s->may_create = pg_bool(r, 0, 2);
	s->may_temp = pg_bool(r, 0, 3);
	if (owner && !pg_bool(r, 0, 5))
		check_fail(c, s->subject,
			   "schema pgcrossfade belongs to role %s, and what one role made there "
			   "another may not change; connect as that role, or run: GRANT %s TO %s;",
			   owner, owner, s->user);
}

static bool check_database(struct check *c, struct server *s, bool *askable, struct err *e)
{
	struct pg_result *r = NULL;
	unsigned failures = c->findings->failures;
	bool functions = false;
	bool ok = pg_query_row(s->pg, database_sql, 0, NULL, &r, e);

	if (ok)
		judge_database(c, s, r);
	pg_result_free(r);
	ok = ok && check_functions(c, s, &functions, e);
	*askable &= functions && c->findings->failures == failures;
	return ok || err_wrap(e, "%s", s->subject);
}

bool check_rights(struct check *c, bool *askable, struct err *e)
{
	*askable = true;
	return check_database(c, &c->source, askable, e) &&
	       check_database(c, &c->target, askable, e);
}

static void need_create(struct check *c, const struct server *s, const char *what)
{
	check_fail(c, s->subject,
		   "role %s has no CREATE on database %s, which %s; run: GRANT CREATE ON DATABASE "
		   "%s TO %s;",
		   s->user, s->dbname, what, s->dbname, s->user);
}

static bool check_publications(struct check *c, struct err *e)
{
	const char *name = check_slot_name(c->arena, c->m->name);
	struct pg_result *r = NULL;
	bool ok = pg_query(c->source.pg, publication_sql, 1, &name, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		check_fail(c, c->source.subject,
			   "publication %s is there already and belongs to role %s; connect as "
			   "that role, drop it, or give the migration another name",
			   pg_text(r, i, 0), pg_text(r, i, 1));
	pg_result_free(r);
	return ok;
}

bool check_may_create(struct check *c, struct err *e)
{
	unsigned failures = c->findings->failures;

	if (!c->source.may_create)
		need_create(c, &c->source,
			    c->one_database
				? "publications and schema pgcrossfade need"
				: "publications and, at the cutover, schema pgcrossfade "
				  "need");
	if (!c->one_database && !c->target.may_create && !c->started)
		need_create(c, &c->target, "schema pgcrossfade, the ledger, needs");
	if (!check_publications(c, e))
		return err_wrap(e, "%s", c->source.subject);
	if (c->findings->failures == failures)
		check_pass(c, "privileges",
			   "role %s may create schema pgcrossfade and publications at the source, "
			   "role %s schema pgcrossfade at the target",
			   c->source.user, c->target.user);
	return true;
}

/* --- raw rows go through a temporary table of the target --- */

static const char *type_array(struct check *c, const struct flow *f)
{
	const char **types = arena_array(c->arena, f->from->ncolumns, sizeof *types);
	unsigned n = 0;

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i] && !f->from->columns[i].builtin)
			types[n++] = f->from->columns[i].bare_type;
	return arena_text_array(c->arena, types, n);
}

bool check_stage(struct check *c, const struct flow *f, struct err *e)
{
	struct pg_result *r = NULL;
	const char *types;

	if ((c->one_database && !f->joins && !f->lookup) || f->at_source)
		return true;
	if (!c->target.may_temp)
		check_fail(c, f->subject,
			   "its rows are copied through a temporary table, and role %s has no "
			   "TEMPORARY on database %s; run: GRANT TEMPORARY ON DATABASE %s TO %s;",
			   c->target.user, c->target.dbname, c->target.dbname, c->target.user);
	types = type_array(c, f);
	bool ok = pg_query_row(c->target.pg,
			       "SELECT string_agg(DISTINCT t, ', ') FROM unnest($1::text[]) t "
			       "WHERE NOT has_type_privilege(to_regtype(t), 'USAGE')",
			       1, &types, &r, e);
	if (ok && pg_value(r, 0, 0))
		check_fail(
		    c, f->subject,
		    "role %s has no USAGE on type %s at the target; run: GRANT USAGE ON TYPE "
		    "%s TO %s;",
		    c->target.user, pg_text(r, 0, 0), pg_text(r, 0, 0), c->target.user);
	pg_result_free(r);
	return ok;
}
