#include "pg/slot.h"

#include "core/buf.h"
#include "core/clock.h"
#include "pg/quote.h"

enum { DROP_RETRY_MS = 50 };

/* PostgreSQL 14 knows the keyword only, 15 and later the option list as well. */
static bool create(struct pg *pg, const char *sql, struct arena *a, struct slot_snapshot *out,
		   struct err *e)
{
	bool keyword = pg_server_version(pg) < 150000;
	const char *whole =
	    arena_printf(a, "%s %s", sql, keyword ? "EXPORT_SNAPSHOT" : "(SNAPSHOT 'export')");
	struct pg_result *r = NULL;
	bool ok = pg_query_row(pg, whole, 0, NULL, &r, e);

	if (ok) {
		out->lsn = pg_lsn(r, 0, 1);
		out->name = arena_strdup(a, pg_text(r, 0, 2));
	}
	pg_result_free(r);
	return ok;
}

bool slot_create(struct pg *pg, const char *name, const char *plugin, struct arena *a,
		 struct slot_snapshot *out, struct err *e)
{
	const char *sql = arena_printf(a, "CREATE_REPLICATION_SLOT %s LOGICAL %s",
				       arena_ident(a, name), arena_ident(a, plugin));

	return create(pg, sql, a, out, e) || err_wrap(e, "create slot %s", name);
}

bool slot_create_temporary(struct pg *pg, const char *name, const char *plugin, struct arena *a,
			   struct slot_snapshot *out, struct err *e)
{
	const char *sql = arena_printf(a, "CREATE_REPLICATION_SLOT %s TEMPORARY LOGICAL %s",
				       arena_ident(a, name), arena_ident(a, plugin));

	return create(pg, sql, a, out, e) || err_wrap(e, "create temporary slot %s", name);
}

static void status_read(const struct pg_result *r, struct arena *a, struct slot_status *out)
{
	out->exists = true;
	out->plugin = arena_strdup(a, pg_text(r, 0, 0));
	out->database = arena_strdup(a, pg_text(r, 0, 1));
	out->active = pg_bool(r, 0, 2);
	out->active_pid = (int)pg_int(r, 0, 3);
	out->confirmed_flush_lsn = pg_lsn(r, 0, 4);
	out->restart_lsn = pg_lsn(r, 0, 5);
	out->wal_status = arena_strdup(a, pg_text(r, 0, 6));
	out->kept_bytes = pg_int(r, 0, 7);
	out->safe_bytes = pg_value(r, 0, 8) ? pg_int(r, 0, 8) : -1;
	out->lost = strcmp(out->wal_status, "lost") == 0;
}

bool slot_lookup(struct pg *pg, const char *name, struct arena *a, struct slot_status *out,
		 struct err *e)
{
	static const char sql[] = "SELECT plugin, database, active, active_pid, "
				  "confirmed_flush_lsn, restart_lsn, wal_status, "
				  "CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff("
				  "pg_current_wal_insert_lsn(), restart_lsn)::bigint END, "
				  "safe_wal_size "
				  "FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
	struct pg_result *r = NULL;
	bool ok = pg_query(pg, sql, 1, &name, &r, e) || err_wrap(e, "look up slot %s", name);

	*out = (struct slot_status){ .plugin = "", .database = "", .wal_status = "" };
	if (ok && pg_rows(r))
		status_read(r, a, out);
	pg_result_free(r);
	return ok;
}

enum drop { DROPPED, IN_USE, FAILED };

/* One statement looks and drops, so that a slot that is gone is no error. */
static enum drop try_drop(struct pg *pg, const char *name, struct err *e)
{
	static const char sql[] = "SELECT pg_catalog.pg_drop_replication_slot(slot_name) "
				  "FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";

	if (pg_query(pg, sql, 1, &name, NULL, e))
		return DROPPED;
	if (strcmp(e->sqlstate, "42704") == 0) /* another session dropped it meanwhile */
		return DROPPED;
	return strcmp(e->sqlstate, "55006") == 0 ? IN_USE : FAILED;
}

bool slot_drop(struct pg *pg, const char *name, int timeout_ms, struct err *e)
{
	int64_t end = clock_ms() + timeout_ms;
	enum drop result = try_drop(pg, name, e);

	while (result == IN_USE && clock_ms() < end) {
		clock_sleep_ms(DROP_RETRY_MS);
		result = try_drop(pg, name, e);
	}
	if (result == DROPPED) {
		err_clear(e);
		return true;
	}
	return err_wrap(e, "drop slot %s", name);
}

bool wal_insert_lsn(struct pg *source, lsn_t *out, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query_row(source, "SELECT pg_current_wal_insert_lsn()", 0, NULL, &r, e))
		return err_wrap(e, "ask for the source's position");
	*out = pg_lsn(r, 0, 0);
	pg_result_free(r);
	return true;
}
