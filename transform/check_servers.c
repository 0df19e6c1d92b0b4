#include "transform/check.h"

#include "core/buf.h"
#include "pg/conn.h"
#include "pg/quote.h"

#include <ctype.h>

enum { OLDEST_VERSION = 140000 };

static const char server_sql[] =
    "SELECT (SELECT system_identifier FROM pg_control_system()), d.oid,"
    " pg_encoding_to_char(d.encoding),"
    " concat_ws(' ', d.datcollate, d.datctype, j->>'datlocprovider',"
    "  coalesce(j->>'daticulocale', j->>'datlocale'), j->>'datcollversion'),"
    " current_setting('server_version')"
    " FROM pg_database d, to_jsonb(d) j WHERE d.datname = current_database()";

static const char source_sql[] =
    "SELECT current_setting('wal_level'),"
    " current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),"
    " current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),"
    " (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),"
    " EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1),"
    " (SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'),"
    " current_setting('max_replication_slots'), current_setting('max_wal_senders'),"
    " quote_ident(current_user)";

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

static const char *slot_name(struct arena *a, const char *migration)
{
	char *name = arena_printf(a, "pgcrossfade_%s", migration);

	for (char *s = name; *s; s++)
		if (*s == '-')
			*s = '_';
	return name;
}

/* One name of a list as ALTER SYSTEM wants it. */
static void put_library(struct buf *b, struct arena *a, const char *name, size_t len)
{
	bool plain = len > 0;

	for (size_t i = 0; i < len; i++)
		plain &= islower((unsigned char)name[i]) || name[i] == '_' ||
			 (i > 0 && isdigit((unsigned char)name[i]));
	buf_puts(b, b->len ? ", " : "");
	if (plain)
		buf_add(b, name, len);
	else
		buf_literal(b, arena_strndup(a, name, len));
}

/* Rewrites the list as ALTER SYSTEM takes it; true when wal2json is in it. */
static bool read_libraries(const char *setting, struct arena *a, struct buf *list)
{
	bool found = false;

	for (const char *s = setting; *s;) {
		s += strspn(s, ", \"");
		size_t len = strcspn(s, ",\"");
		while (len && s[len - 1] == ' ')
			len--;
		if (len)
			put_library(list, a, s, len);
		found |= len == strlen("wal2json") && strncmp(s, "wal2json", len) == 0;
		s += strcspn(s, ",");
	}
	return found;
}

/* Servers of August 2026 and later load only the output plugins that are listed. */
static void check_plugin(struct check *c, const char *setting)
{
	struct buf list = BUF_INIT;

	if (setting && strcmp(c->m->decoder, "wal2json") == 0 &&
	    !read_libraries(setting, c->arena, &list))
		fail(c, &c->source,
		     arena_printf(
			 c->arena,
			 "output_plugin_libraries does not list wal2json; run as a "
			 "superuser: ALTER SYSTEM SET output_plugin_libraries = %s%swal2json; "
			 "SELECT pg_reload_conf();",
			 buf_str(&list), list.len ? ", " : ""));
	buf_free(&list);
}

/* A plugin's text is not converted to the client's encoding as pgoutput's values are. */
static void check_encoding(struct check *c)
{
	if (strcmp(c->m->decoder, "wal2json") == 0 && strcmp(c->source.encoding, "UTF8") != 0)
		fail(c, &c->source,
		     arena_printf(c->arena,
				  "the database has encoding %s, in which wal2json would write; "
				  "use decoder: pgoutput",
				  c->source.encoding));
}

static void check_room(struct check *c, const struct pg_result *r)
{
	if (pg_bool(r, 0, 4))
		return; /* the migration's own slot is there already */
	if (pg_int(r, 0, 1) < 1)
		fail(c, &c->source,
		     arena_printf(
			 c->arena,
			 "all %s replication slots are taken; drop one that nobody needs or "
			 "raise max_replication_slots (restart)",
			 pg_text(r, 0, 6)));
	if (pg_int(r, 0, 2) < 1)
		fail(c, &c->source,
		     arena_printf(c->arena,
				  "all %s WAL senders are taken; raise max_wal_senders (restart)",
				  pg_text(r, 0, 7)));
}

static void judge_source(struct check *c, const struct pg_result *r)
{
	if (strcmp(pg_text(r, 0, 0), "logical") != 0)
		fail(c, &c->source,
		     arena_printf(c->arena,
				  "wal_level is %s, so changes cannot be followed; run as a "
				  "superuser: ALTER SYSTEM SET wal_level = logical; and restart it",
				  pg_text(r, 0, 0)));
	if (!pg_bool(r, 0, 3))
		fail(c, &c->source,
		     arena_printf(c->arena,
				  "the role may not replicate; run as a superuser: ALTER ROLE %s "
				  "REPLICATION;",
				  pg_text(r, 0, 8)));
	check_encoding(c);
	check_room(c, r);
	check_plugin(c, pg_value(r, 0, 5));
}

static bool check_source(struct check *c, struct err *e)
{
	const char *slot = slot_name(c->arena, c->m->name);
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->source.pg, source_sql, 1, &slot, &r, e);

	if (ok)
		judge_source(c, r);
	pg_result_free(r);
	return ok || err_wrap(e, "%s", c->source.subject);
}

static void pass(struct check *c, const struct server *s, const char *more)
{
	int version = pg_server_version(s->pg);

	finding_add(c->findings, c->arena, FINDING_PASS, s->subject, "PostgreSQL %d.%d, %s%s",
		    version / 10000, version % 10000, s->encoding, more);
}

bool check_servers(struct check *c, struct err *e)
{
	unsigned failures = c->findings->failures;
	bool fits = version_fits(c, &c->source);

	fits = version_fits(c, &c->target) && fits;
	if (!fits)
		return true; /* nothing else can be asked of an old server */
	if (!look(c, &c->source, e) || !look(c, &c->target, e) || !check_source(c, e))
		return false;
	c->one_database = strcmp(c->source.system, c->target.system) == 0 &&
			  strcmp(c->source.database, c->target.database) == 0;
	if (c->findings->failures == failures) {
		pass(c, &c->source, ", wal_level logical, a slot and a WAL sender are free");
		pass(c, &c->target, c->one_database ? ", the same database" : "");
	}
	return true;
}
