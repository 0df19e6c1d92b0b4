/* What run and cutover do to the tables and sequences themselves takes more than reading and writing. */
#include "transform/check.h"

#include "pg/conn.h"
#include "pg/quote.h"

#include <inttypes.h>
#include <stdio.h>

/* Nobody should become a superuser's member for this; a member may be one who inherits nothing. */
static const char table_sql[] =
    "SELECT pg_has_role(c.relowner, 'USAGE'), CASE"
    " WHEN (SELECT rolsuper FROM pg_roles o WHERE o.oid = c.relowner)"
    "  THEN format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, current_user)"
    " WHEN NOT pg_has_role(c.relowner, 'MEMBER')"
    "  THEN format('GRANT %s TO %I', c.relowner::regrole, current_user)"
    " WHEN current_setting('server_version_num')::int < 160000"
    "  THEN format('ALTER ROLE %I INHERIT', current_user)"
    " ELSE format('GRANT %s TO %I WITH INHERIT TRUE', c.relowner::regrole, current_user) END,"
    " has_table_privilege(c.oid, 'TRIGGER'),"
    " has_table_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE')"
    "  OR has_table_privilege(c.oid, 'TRUNCATE'),"
    " has_schema_privilege(c.relnamespace, 'CREATE'), quote_ident(n.nspname),"
    " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND NOT i.indisreplident),"
    " (SELECT string_agg(DISTINCT quote_ident(t.spcname), ', ') FROM pg_index i"
    "  JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_tablespace t ON t.oid = x.reltablespace"
    "  WHERE i.indrelid = c.oid AND NOT has_tablespace_privilege(t.oid, 'CREATE'))"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid";

static const char parents_sql[] =
    "SELECT format('%I.%I', n.nspname, p.relname), c.conname,"
    " has_schema_privilege(n.oid, 'USAGE'), quote_ident(n.nspname)"
    " FROM pg_constraint c JOIN pg_class p ON p.oid = c.confrelid"
    " JOIN pg_namespace n ON n.oid = p.relnamespace"
    " WHERE c.contype = 'f' AND c.conrelid = $1::oid AND NOT (has_schema_privilege(n.oid, 'USAGE')"
    "  AND (has_table_privilege(p.oid, 'REFERENCES') OR (SELECT"
    "   bool_and(has_column_privilege(p.oid, k, 'REFERENCES')) FROM unnest(c.confkey) k)))"
    " ORDER BY 1, 2";

/* Row 0 of table_sql for that table. */
static bool ask_table(const struct server *s, const struct catalog_table *t, struct pg_result **r,
		      struct err *e)
{
	char oid[16];
	const char *params[] = { oid };

	snprintf(oid, sizeof oid, "%" PRIu32, t->oid);
	return pg_query_row(s->pg, table_sql, 1, params, r, e);
}

static const char *quoted(struct check *c, const struct catalog_table *t)
{
	return arena_qualified(c->arena, t->schema, t->name);
}

static void need_owner(struct check *c, const struct flow *f, struct place p,
		       const struct server *s, const struct catalog_table *t, const char *remedy,
		       const char *what)
{
	check_fail_at(c, f->subject, p, "role %s does not own %s.%s, which %s; run: %s;", s->user,
		      t->schema, t->name, what, remedy);
}

static void judge_old(struct check *c, const struct flow *f, const struct pg_result *r)
{
	const struct server *s = &c->source;
	struct place p = f->def->from_place;
	const char *missing = !pg_bool(r, 0, 2) ? "TRIGGER" : !pg_bool(r, 0, 3) ? "UPDATE" : NULL;

	if (!pg_bool(r, 0, 0))
		need_owner(c, f, p, s, f->from, pg_text(r, 0, 1),
			   "publishing it and freezing it at the cutover take");
	else if (missing) /* an owner can revoke it from himself */
		check_fail_at(c, f->subject, p,
			      "role %s has no %s on %s.%s, which the lock and the freeze at the "
			      "cutover need; run: GRANT %s ON %s TO %s;",
			      s->user, missing, f->from->schema, f->from->name, missing,
			      quoted(c, f->from), s->user);
}

static void judge_new(struct check *c, const struct flow *f, const struct pg_result *r)
{
	const struct server *s = &c->target;
	struct place p = f->def->to_place;

	if (!pg_bool(r, 0, 0))
		need_owner(c, f, p, s, f->to, pg_text(r, 0, 1),
			   "putting its indexes and constraints away for the copy takes");
	if (pg_bool(r, 0, 6) && !pg_bool(r, 0, 4))
		check_fail_at(c, f->subject, p,
			      "role %s has no CREATE on schema %s, so the indexes of %s.%s could "
			      "not be built again after the copy; run: GRANT CREATE ON SCHEMA %s "
			      "TO %s;",
			      s->user, pg_text(r, 0, 5), f->to->schema, f->to->name,
			      pg_text(r, 0, 5), s->user);
	if (pg_value(r, 0, 7))
		check_fail_at(c, f->subject, p,
			      "role %s has no CREATE on tablespace %s, so indexes of %s.%s could "
			      "not be built again there; run: GRANT CREATE ON TABLESPACE %s TO %s;",
			      s->user, pg_text(r, 0, 7), f->to->schema, f->to->name,
			      pg_text(r, 0, 7), s->user);
}

static bool check_parents(struct check *c, const struct flow *f, struct err *e)
{
	char oid[16];
	const char *params[] = { oid };
	struct pg_result *r = NULL;

	snprintf(oid, sizeof oid, "%" PRIu32, f->to->oid);
	bool ok = pg_query(c->target.pg, parents_sql, 1, params, &r, e);
	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		check_fail_at(c, f->subject, f->def->to_place,
			      "role %s has no REFERENCES on %s, so foreign key %s could not be "
			      "made again after the copy; run: GRANT USAGE ON SCHEMA %s TO %s; "
			      "GRANT REFERENCES ON %s TO %s;",
			      c->target.user, pg_text(r, i, 0), pg_text(r, i, 1), pg_text(r, i, 3),
			      c->target.user, pg_text(r, i, 0), c->target.user);
	pg_result_free(r);
	return ok;
}

bool check_owners(struct check *c, struct flow *f, struct err *e)
{
	struct pg_result *old = NULL, *new = NULL;
	bool ok = ask_table(&c->source, f->from, &old, e) && ask_table(&c->target, f->to, &new, e);

	if (ok) {
		judge_old(c, f, old);
		judge_new(c, f, new);
	}
	pg_result_free(old);
	pg_result_free(new);
	return ok && check_parents(c, f, e);
}

/* --- sequences --- */

/* A sequence that the cutover reads or sets, or a default draws from. */
static bool check_sequence(struct check *c, const struct server *s, const char *sequence,
			   const char *rights, const char *what, struct err *e)
{
	const char *params[] = { sequence, rights };
	struct pg_result *r = NULL;
	bool ok =
	    pg_query_row(s->pg,
			 "SELECT quote_ident(n.nspname), has_schema_privilege(n.oid, 'USAGE'),"
			 " (SELECT bool_and(has_sequence_privilege(c.oid, p))"
			 "  FROM unnest(string_to_array($2, ', ')) p)"
			 " FROM parse_ident($1) i JOIN pg_namespace n ON n.nspname = i[1]"
			 " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = i[2]",
			 2, params, &r, e);

	if (ok && !(pg_bool(r, 0, 1) && pg_bool(r, 0, 2)))
		check_fail(c, s->subject,
			   "role %s has no %s on sequence %s, which %s; run: GRANT USAGE ON SCHEMA "
			   "%s TO %s; GRANT %s ON SEQUENCE %s TO %s;",
			   s->user, rights, sequence, what, pg_text(r, 0, 0), s->user, rights,
			   sequence, s->user);
	pg_result_free(r);
	return ok || err_wrap(e, "sequence %s", sequence);
}

bool check_sequences(struct check *c, const struct plan *plan, struct err *e)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < plan->nsequences; i++) {
		const struct sequence_plan *s = &plan->sequences[i];
		ok = check_sequence(c, &c->target, s->target_sequence, "SELECT, UPDATE",
				    "is moved past the old one at the cutover", e) &&
		     (!s->source_sequence || check_sequence(c, &c->source, s->source_sequence,
							    "SELECT", "is read at the cutover", e));
	}
	return ok;
}

bool check_drawn(struct check *c, const struct flow *f, struct err *e)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < f->to->ncolumns; i++) {
		const struct catalog_column *t = &f->to->columns[i];
		if (t->sequence && !t->identity &&
		    query_output_find(f->query, t->name) == f->query->noutputs)
			ok = check_sequence(c, &c->target, t->sequence, "USAGE", "numbers new rows",
					    e);
	}
	return ok;
}
