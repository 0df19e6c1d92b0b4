/* Can the source's changes be followed: settings, slots, senders, the plugin. */
#include "transform/check.h"

#include "core/buf.h"
#include "pg/conn.h"
#include "pg/freeze.h"
#include "pg/quote.h"
#include "pg/slot.h"

#include <ctype.h>
#include <inttypes.h>

static const char source_sql[] =
    "SELECT current_setting('wal_level'),"
    " current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),"
    " current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),"
    " (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),"
    " EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1),"
    " (SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'),"
    " current_setting('max_replication_slots'), current_setting('max_wal_senders'),"
    " current_setting('logical_decoding_work_mem'),"
    " coalesce(current_setting('idle_replication_slot_timeout', true), '0')";

enum source_column {
	WAL_LEVEL,
	FREE_SLOTS,
	FREE_SENDERS,
	MAY_REPLICATE,
	OUR_SLOT,
	LIBRARIES,
	ALL_SLOTS,
	ALL_SENDERS,
	WORK_MEM,
	IDLE_TIMEOUT
};

const char *check_slot_name(struct arena *a, const char *migration)
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
		check_fail(c, c->source.subject,
			   "output_plugin_libraries does not list wal2json; run as a superuser: "
			   "ALTER SYSTEM SET output_plugin_libraries = %s%swal2json; "
			   "SELECT pg_reload_conf();",
			   buf_str(&list), list.len ? ", " : "");
	buf_free(&list);
}

/* A plugin's text is not converted to the client's encoding as pgoutput's values are. */
static void check_encoding(struct check *c)
{
	if (strcmp(c->m->decoder, "wal2json") == 0 && strcmp(c->source.encoding, "UTF8") != 0)
		check_fail(c, c->source.subject,
			   "the database has encoding %s, in which wal2json would write; use "
			   "decoder: pgoutput",
			   c->source.encoding);
}

static void warn_tight(struct check *c, const struct pg_result *r)
{
	const char *what = pg_int(r, 0, FREE_SLOTS) < 2     ? "replication slot"
			   : pg_int(r, 0, FREE_SENDERS) < 2 ? "WAL sender"
							    : NULL;

	if (what)
		check_warn(c, c->source.subject,
			   "only one %s is free, and a copy that is interrupted or outlives "
			   "snapshot_max_age takes a second one for a while; keep one more free",
			   what);
}

static void check_room(struct check *c, const struct pg_result *r)
{
	unsigned failures = c->findings->failures;

	if (pg_bool(r, 0, OUR_SLOT))
		return; /* check_new has more to say of it */
	if (pg_int(r, 0, FREE_SLOTS) < 1)
		check_fail(c, c->source.subject,
			   "all %s replication slots are taken; drop one that nobody needs or "
			   "raise max_replication_slots (restart)",
			   pg_text(r, 0, ALL_SLOTS));
	if (pg_int(r, 0, FREE_SENDERS) < 1)
		check_fail(c, c->source.subject,
			   "all %s WAL senders are taken; raise max_wal_senders (restart)",
			   pg_text(r, 0, ALL_SENDERS));
	if (c->findings->failures == failures)
		warn_tight(c, r);
}

static void judge_source(struct check *c, const struct pg_result *r)
{
	unsigned failures = c->findings->failures;

	if (strcmp(pg_text(r, 0, WAL_LEVEL), "logical") != 0)
		check_fail(c, c->source.subject,
			   "wal_level is %s, so changes cannot be followed; run as a superuser: "
			   "ALTER SYSTEM SET wal_level = logical; and restart it",
			   pg_text(r, 0, WAL_LEVEL));
	if (!pg_bool(r, 0, MAY_REPLICATE))
		check_fail(c, c->source.subject,
			   "the role may not replicate; run as a superuser: ALTER ROLE %s "
			   "REPLICATION;",
			   c->source.user);
	check_encoding(c);
	if (!c->started)
		check_room(c, r);
	check_plugin(c, pg_value(r, 0, LIBRARIES));
	if (strcmp(pg_text(r, 0, IDLE_TIMEOUT), "0") != 0)
		check_warn(c, c->source.subject,
			   "idle_replication_slot_timeout is %s, and the server gives up the slot "
			   "when no run reads it for so long; set it to 0 for the migration",
			   pg_text(r, 0, IDLE_TIMEOUT));
	if (c->findings->failures == failures)
		check_pass(c, c->source.subject,
			   "wal_level logical, %s of %s replication slots and %s of %s WAL senders "
			   "free, transactions over logical_decoding_work_mem (%s) spill to disk",
			   pg_text(r, 0, FREE_SLOTS), pg_text(r, 0, ALL_SLOTS),
			   pg_text(r, 0, FREE_SENDERS), pg_text(r, 0, ALL_SENDERS),
			   pg_text(r, 0, WORK_MEM));
}

static const char *describe(const struct slot_status *s, struct arena *a)
{
	const char *what =
	    *s->plugin ? arena_printf(a, "of plugin %s in database %s", s->plugin, s->database)
		       : "a physical one";

	return s->active ? arena_printf(a, "%s, in use by pid %d", what, s->active_pid) : what;
}

bool migration_is_new(struct pg *source, const char *name, struct arena *a, struct err *e)
{
	const char *slot = check_slot_name(a, name);
	struct slot_status status;
	int64_t pause_us;
	bool marked;

	if (!freeze_marked(source, name, &marked, &pause_us, e) ||
	    !slot_lookup(source, slot, a, &status, e))
		return false;
	if (marked)
		return err_set(
		    e, ERR_CONFIG,
		    "the source still carries the switch of an earlier migration %s (table "
		    "pgcrossfade.switched); give this one another name",
		    name);
	return !status.exists ||
	       err_set(
		   e, ERR_CONFIG,
		   "the source already has replication slot %s (%s), of another migration of that "
		   "name or one that was never aborted; give this one another name, or, if nobody "
		   "needs the slot, run at the source: SELECT pg_drop_replication_slot('%s');",
		   slot, describe(&status, a), slot);
}

static bool check_new(struct check *c, struct err *e)
{
	struct err why = ERR_INIT;

	if (migration_is_new(c->source.pg, c->m->name, c->arena, &why))
		return true;
	if (why.kind == ERR_CONFIG)
		check_fail(c, c->source.subject, "%s", why.text);
	else
		*e = why;
	return why.kind == ERR_CONFIG;
}

bool check_source(struct check *c, struct err *e)
{
	const char *slot = check_slot_name(c->arena, c->m->name);
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->source.pg, source_sql, 1, &slot, &r, e);

	if (ok)
		judge_source(c, r);
	pg_result_free(r);
	/* with privileges missing it cannot be asked */
	ok = ok && (c->started || c->findings->failures || check_new(c, e));
	return ok || err_wrap(e, "%s", c->source.subject);
}

/* What goes on may go on: only the cutover will not be. */
bool check_frozen(struct check *c, const struct plan *plan, struct err *e)
{
	struct err why = ERR_INIT;

	if (freeze_no_other(c->source.pg, plan, &why))
		return true;
	if (why.kind != ERR_CONFIG)
		*e = why;
	else if (c->started)
		check_warn(c, c->source.subject, "%s", why.text);
	else
		check_fail(c, c->source.subject, "%s", why.text);
	return why.kind == ERR_CONFIG;
}

bool check_decoder(struct check *c, struct err *e)
{
	enum { WAIT_MS = 3000 };
	struct pg *pg = c->source.pg;
	const char *params[] = { arena_printf(c->arena, "pgcrossfade_check_%d", pg_backend_pid(pg)),
				 c->m->decoder };
	struct err why = ERR_INIT;
	bool made = pg_execf(pg, e, "SET statement_timeout = %d", WAIT_MS) &&
		    pg_query(pg, "SELECT pg_create_logical_replication_slot($1, $2, true)", 2,
			     params, NULL, &why);

	if (made)
		made = pg_query(pg, "SELECT pg_drop_replication_slot($1)", 1, params, NULL, &why);
	if (pg_lost(pg) || !pg_exec(pg, "SET statement_timeout = 0", e))
		return pg_lost(pg) ? err_set(e, ERR_RETRY, "%s", why.text) : false;
	if (made)
		check_pass(c, c->source.subject, "decoder %s makes a slot (a temporary one)",
			   c->m->decoder);
	else if (strcmp(why.sqlstate, "57014") == 0)
		check_warn(c, c->source.subject,
			   "a slot was not made within %d s, because transactions that were "
			   "running before still are; end the long ones, run waits for them",
			   WAIT_MS / 1000);
	else
		check_fail(c, c->source.subject,
			   "the server makes no slot with decoder %s: %s; install the plugin, or "
			   "use decoder: pgoutput",
			   c->m->decoder, why.text);
	return true;
}
