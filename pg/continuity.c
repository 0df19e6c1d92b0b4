#include "pg/continuity.h"

#include "core/buf.h"
#include "pg/quote.h"

#include <string.h>

enum column { STANDBY, SYSTEM, TIMELINE, FLUSHED, EXISTS, PLUGIN, OURS, ACTIVE, LOST, CONFIRMED };

/* No parameters: a replication connection takes none. */
static void put_query(struct buf *sql, const char *slot)
{
	buf_puts(sql,
		 "SELECT standby, (SELECT system_identifier FROM pg_control_system()), "
		 "CASE WHEN NOT standby THEN "
		 "('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END, "
		 "CASE WHEN NOT standby THEN pg_current_wal_flush_lsn() END, "
		 "slot_name IS NOT NULL, plugin, database = current_database(), active, "
		 "wal_status = 'lost', confirmed_flush_lsn "
		 "FROM (SELECT pg_is_in_recovery() AS standby) AS server "
		 "LEFT JOIN pg_replication_slots ON slot_name = ");
	buf_literal(sql, slot);
}

static bool check_server(const struct continuity *c, const struct pg_result *r, struct err *e)
{
	char flushed[LSN_TEXT], known[LSN_TEXT];

	if (pg_bool(r, 0, STANDBY))
		return err_set(e, ERR_RETRY, "the source is a standby; waiting for its promotion");
	if (strcmp(pg_text(r, 0, SYSTEM), c->system) != 0)
		return err_set(e, ERR_CONFIG,
			       "the source is system %s, the migration was started from system "
			       "%s; point `source` back to that one, or abort and start again",
			       pg_text(r, 0, SYSTEM), c->system);
	if (pg_int(r, 0, TIMELINE) != c->timeline)
		return err_set(e, ERR_CONFIG,
			       "the source is on timeline %lld, the migration was started on %d: "
			       "it was promoted, or restored from a backup, and changes may be "
			       "missing; abort and start again",
			       (long long)pg_int(r, 0, TIMELINE), c->timeline);
	if (pg_lsn(r, 0, FLUSHED) < c->known)
		return err_set(e, ERR_CONFIG,
			       "the source's WAL ends at %s, before %s, which the target already "
			       "has: the source was restored to an earlier state; abort and start "
			       "again",
			       lsn_format(pg_lsn(r, 0, FLUSHED), flushed),
			       lsn_format(c->known, known));
	return true;
}

bool continuity_covers(const struct continuity *c, lsn_t confirmed, struct err *e)
{
	char from[LSN_TEXT], known[LSN_TEXT];

	return confirmed <= c->known ||
	       err_set(e, ERR_CONFIG,
		       "replication slot %s begins at %s, past %s, up to where the target has "
		       "everything: the slot was made again or moved on, or the target was "
		       "restored to an earlier state, and the changes between are lost; abort "
		       "and start again",
		       c->slot, lsn_format(confirmed, from), lsn_format(c->known, known));
}

static bool check_slot(const struct continuity *c, const struct pg_result *r, struct err *e)
{
	if (!pg_bool(r, 0, EXISTS))
		return err_set(
		    e, ERR_CONFIG,
		    "replication slot %s is gone from the source, and with it the changes not "
		    "applied yet; abort and start again",
		    c->slot);
	if (pg_bool(r, 0, LOST))
		return err_set(e, ERR_CONFIG,
			       "replication slot %s has lost WAL that it still needed "
			       "(max_slot_wal_keep_size); abort and start again",
			       c->slot);
	if (!pg_bool(r, 0, OURS) || strcmp(pg_text(r, 0, PLUGIN), c->plugin) != 0)
		return err_set(e, ERR_CONFIG,
			       "replication slot %s is of plugin '%s' and perhaps of another "
			       "database: not the one that the migration made, and the changes "
			       "not applied yet are lost; abort and start again",
			       c->slot, pg_text(r, 0, PLUGIN));
	return continuity_covers(c, pg_lsn(r, 0, CONFIRMED), e);
}

bool continuity_check(struct pg *source, const struct continuity *c, struct continuity_slot *out,
		      struct err *e)
{
	struct buf sql = BUF_INIT;
	struct pg_result *r = NULL;

	put_query(&sql, c->slot);
	bool ok = pg_query_row(source, buf_str(&sql), 0, NULL, &r, e) ||
		  err_wrap(e, "look at the source's position");
	if (ok)
		*out = (struct continuity_slot){ pg_bool(r, 0, ACTIVE), pg_lsn(r, 0, CONFIRMED) };
	ok = ok && check_server(c, r, e) && check_slot(c, r, e);
	pg_result_free(r);
	buf_free(&sql);
	return ok;
}
