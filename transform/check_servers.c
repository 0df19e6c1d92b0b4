#include "transform/check.h"

#include "pg/conn.h"
#include "pg/ledger.h"

enum { OLDEST_VERSION = 140000 };

static const char server_sql[] =
    "SELECT (SELECT system_identifier FROM pg_control_system()), d.oid,"
    " pg_encoding_to_char(d.encoding),"
    " concat_ws(' ', d.datcollate, d.datctype, j->>'datlocprovider',"
    "  coalesce(j->>'daticulocale', j->>'datlocale'), j->>'datcollversion'),"
    " current_setting('server_version')"
    " FROM pg_database d, to_jsonb(d) j WHERE d.datname = current_database()";

static void fail(struct check *c, const struct server *s, const char *text)
{
	finding_add(c->findings, c->arena, FINDING_FAIL, s->subject, "%s", text);
}

static bool look(struct check *c, struct server *s, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(s->pg, server_sql, 0, NULL, &r, e);

	if (ok) {
		s->system = arena_strdup(c->arena, pg_text(r, 0, 0));
		s->database = arena_strdup(c->arena, pg_text(r, 0, 1));
		s->encoding = arena_strdup(c->arena, pg_text(r, 0, 2));
		s->collation = arena_strdup(c->arena, pg_text(r, 0, 3));
		if (strcmp(s->encoding, "SQL_ASCII") == 0)
			fail(c, s,
			     "the database has encoding SQL_ASCII, so its bytes have no meaning to "
			     "convert; move it to a database with a real encoding first");
	}
	pg_result_free(r);
	return ok || err_wrap(e, "%s", s->subject);
}

static bool version_fits(struct check *c, const struct server *s)
{
	int version = pg_server_version(s->pg);

	if (version < OLDEST_VERSION)
		fail(c, s,
		     arena_printf(c->arena, "PostgreSQL %d is too old; upgrade it to 14 or later",
				  version / 10000));
	return version >= OLDEST_VERSION;
}

static void pass(struct check *c, const struct server *s, const char *more)
{
	int version = pg_server_version(s->pg);

	finding_add(c->findings, c->arena, FINDING_PASS, s->subject, "PostgreSQL %d.%d, %s%s",
		    version / 10000, version % 10000, s->encoding, more);
}

static bool check_ledger(struct check *c, struct err *e)
{
	struct ledger_migration *m = NULL;

	if (!ledger_load(c->target.pg, c->m->name, c->arena, &m, e))
		return false;
	c->started = m != NULL;
	c->phase = m ? m->phase : NULL;
	if (m && (strcmp(m->phase, "switched") == 0 || strcmp(m->phase, "complete") == 0))
		check_fail(c, "ledger",
			   "migration %s is in phase %s, so nothing of it is left to run, and the "
			   "old names may mean other tables by now; give a new migration another "
			   "name",
			   c->m->name, m->phase);
	return true;
}

static bool look_at_both(struct check *c, struct err *e)
{
	if (!look(c, &c->source, e) || !look(c, &c->target, e))
		return false;
	c->one_database = strcmp(c->source.system, c->target.system) == 0 &&
			  strcmp(c->source.database, c->target.database) == 0;
	return check_ledger(c, e);
}

bool check_servers(struct check *c, struct err *e)
{
	unsigned failures = c->findings->failures;
	bool fits = version_fits(c, &c->source);

	fits = version_fits(c, &c->target) && fits;
	if (!fits)
		return true; /* nothing else can be asked of an old server */
	if (!check_rights(c, &fits, e))
		return false;
	if (!fits)
		return true;
	if (!look_at_both(c, e) || !check_settings(c, e) || !check_may_create(c, e) ||
	    !check_source(c, e))
		return false;
	if (c->findings->failures == failures) {
		pass(c, &c->source, "");
		pass(c, &c->target, c->one_database ? ", the same database" : "");
	}
	return true;
}
