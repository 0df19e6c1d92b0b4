/* What servers, databases and roles are set to that the sessions of a migration would feel. */
#include "transform/check.h"

#include "pg/conn.h"

/* --- is it a server that can be written? --- */

static const char standby_sql[] =
    "SELECT pg_is_in_recovery(), nullif(current_setting('synchronous_standby_names'), ''),"
    " NOT EXISTS (SELECT FROM pg_stat_replication"
    "  WHERE sync_state IS NULL OR sync_state IN ('sync', 'quorum'))";

static bool check_standby(struct check *c, const struct server *s, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(s->pg, standby_sql, 0, NULL, &r, e);

	if (ok && pg_bool(r, 0, 0))
		check_fail(c, s->subject,
			   "it is a standby, where nothing can be written; name its primary");
	else if (ok && pg_value(r, 0, 1) && pg_bool(r, 0, 2))
		check_warn(c, s->subject,
			   "synchronous_standby_names is '%s' and no such standby is connected, so "
			   "that every commit waits; connect the standby, or empty the setting",
			   pg_text(r, 0, 1));
	pg_result_free(r);
	return ok;
}

/* --- settings of the role or the database --- */

/* Those of ours that a session pins are as good as not there. */
static const char settings_sql[] =
    "WITH own AS (SELECT split_part(s, '=', 1) AS name FROM pg_db_role_setting,"
    "  unnest(setconfig) s WHERE setdatabase IN (0, (SELECT oid FROM pg_database"
    "   WHERE datname = current_database()))"
    "  AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user)))"
    "SELECT string_agg(DISTINCT own.name, ', ' ORDER BY own.name) FILTER (WHERE g.source = "
    "'session'), string_agg(DISTINCT own.name, ', ' ORDER BY own.name) FILTER (WHERE own.name IN"
    " ('session_replication_role', 'default_tablespace', 'role', 'default_text_search_config'))"
    " FROM own JOIN pg_settings g ON lower(g.name) = lower(own.name)";

static bool check_own_settings(struct check *c, const struct server *s, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(s->pg, settings_sql, 0, NULL, &r, e);

	if (ok && pg_value(r, 0, 0))
		check_pass(c, s->subject,
			   "settings of the role or the database that our sessions override: %s",
			   pg_text(r, 0, 0));
	if (ok && pg_value(r, 0, 1))
		check_warn(c, s->subject,
			   "the role or the database sets %s, which our sessions keep; reset it "
			   "for role %s if the migration must not see it",
			   pg_text(r, 0, 1), s->user);
	pg_result_free(r);
	return ok;
}

/* --- what else of the user's is in the way --- */

/* NULL: none. */
static bool list_names(struct check *c, const struct server *s, const char *sql, const char **out,
		       struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(s->pg, sql, 0, NULL, &r, e);

	*out = ok && pg_value(r, 0, 0) ? arena_strdup(c->arena, pg_text(r, 0, 0)) : NULL;
	pg_result_free(r);
	return ok;
}

static bool check_event_triggers(struct check *c, const struct server *s, struct err *e)
{
	const char *names;

	if (!list_names(c, s,
			"SELECT string_agg(evtname, ', ' ORDER BY evtname) FROM "
			"pg_event_trigger WHERE evtenabled IN ('O', 'A')",
			&names, e))
		return false;
	if (names)
		check_warn(c, s->subject,
			   "event triggers fire on what run and cutover create and drop: %s; see "
			   "that they let it pass",
			   names);
	return true;
}

static bool check_publications(struct check *c, const struct server *s, struct err *e)
{
	const char *names;

	if (!list_names(c, s,
			"SELECT string_agg(pubname, ', ' ORDER BY pubname) FROM "
			"pg_publication WHERE puballtables",
			&names, e))
		return false;
	if (names)
		check_warn(c, s->subject,
			   "publications FOR ALL TABLES publish the tables of schema pgcrossfade, "
			   "too, and a subscription that does not have them stops there: %s; let "
			   "them name their tables or schemas until the migration is over",
			   names);
	return true;
}

/* --- connections --- */

static const char connections_sql[] =
    "SELECT least(current_setting('max_connections')::int"
    "  - current_setting('superuser_reserved_connections')::int"
    "  - coalesce(current_setting('reserved_connections', true)::int, 0) - (SELECT count(usesysid)"
    "   FROM pg_stat_activity WHERE pid NOT IN (SELECT pid FROM pg_stat_replication)),"
    " CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity"
    "  WHERE usesysid = r.oid) END,"
    " CASE WHEN d.datconnlimit >= 0 THEN d.datconnlimit - (SELECT count(*) FROM pg_stat_activity"
    "  WHERE datid = d.oid AND usesysid IS NOT NULL) END)"
    " FROM pg_roles r, pg_database d WHERE r.rolname = current_user"
    " AND d.datname = current_database()";

static bool check_connections(struct check *c, const struct server *s, uint64_t more, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(s->pg, connections_sql, 0, NULL, &r, e);

	if (ok && pg_int(r, 0, 0) < (int64_t)more)
		check_fail(
		    c, s->subject,
		    "%lld connections are free, and run opens up to %llu more (jobs is "
		    "%llu); lower jobs, close some, or raise max_connections or the limit of "
		    "the role or database",
		    (long long)pg_int(r, 0, 0), (unsigned long long)more,
		    (unsigned long long)c->m->jobs);
	pg_result_free(r);
	return ok;
}

/* Besides what check itself has open: workers, or later what is beside the stream; at the source a
 * drain, the lock of the cutover, a command; at the target the applier, a command. */
static bool check_head_room(struct check *c, struct err *e)
{
	enum { SOURCE = 3, TARGET = 2 };
	bool same = strcmp(c->source.system, c->target.system) == 0;
	uint64_t both = (c->one_database ? 1 : 2) * c->m->jobs + SOURCE + TARGET;

	if (c->started)
		return true;
	return check_connections(c, &c->source, same ? both : c->m->jobs + SOURCE, e) &&
	       (same || check_connections(c, &c->target, c->m->jobs + TARGET, e));
}

/* --- two servers that differ --- */

static void check_difference(struct check *c)
{
	if (c->one_database)
		return;
	if (strcmp(c->source.encoding, c->target.encoding) != 0)
		check_warn(c, c->target.subject,
			   "its encoding is %s and the source's is %s, so a character that %s "
			   "lacks stops the run, and the SELECTs run at the target; use a UTF8 "
			   "target if such characters exist",
			   c->target.encoding, c->source.encoding, c->target.encoding);
	else if (strcmp(c->source.collation, c->target.collation) != 0)
		check_warn(c, c->target.subject,
			   "its collation (%s) is not the source's (%s), so the SELECTs run at "
			   "the target, where upper(), lower() and comparisons of text may differ "
			   "from the source; see that the flows do not depend on it",
			   c->target.collation, c->source.collation);
}

static bool check_one(struct check *c, const struct server *s, struct err *e)
{
	return (check_standby(c, s, e) && check_own_settings(c, s, e) &&
		check_event_triggers(c, s, e) && check_publications(c, s, e)) ||
	       err_wrap(e, "%s", s->subject);
}

bool check_settings(struct check *c, struct err *e)
{
	check_difference(c);
	return check_one(c, &c->source, e) && (c->one_database || check_one(c, &c->target, e)) &&
	       check_head_room(c, e);
}
