#include "pg/lock.h"

#include "core/clock.h"
#include "pg/quote.h"
#include "pg/tree.h"

#include <inttypes.h>
#include <stdio.h>

static void put_lock(struct buf *sql, const struct lock_tables *tables)
{
	buf_puts(sql, "LOCK TABLE ");
	for (unsigned i = 0; i < tables->count; i++)
		buf_printf(sql, "%s%s", i ? ", " : "", tables->from[i]);
	buf_puts(sql, " IN SHARE ROW EXCLUSIVE MODE");
}

static void put_lock_alone(struct buf *sql, const struct lock_tables *tables)
{
	buf_puts(sql, "LOCK TABLE ");
	for (unsigned i = 0; i < tables->nalone; i++)
		buf_printf(sql, "%sONLY %s", i ? ", " : "", tables->alone[i]);
	buf_puts(sql, " IN ACCESS EXCLUSIVE MODE");
}

const char *lock_sql(const struct lock_tables *tables, struct arena *a)
{
	struct buf sql = BUF_INIT;

	if (tables->nalone) {
		put_lock_alone(&sql, tables);
		buf_puts(&sql, "; ");
	}
	put_lock(&sql, tables);
	const char *text = arena_strdup(a, sql.data);
	buf_free(&sql);
	return text;
}

bool lock_limit(struct pg *pg, int64_t left_ms, struct err *e)
{
	return pg_execf(pg, e, "SET LOCAL statement_timeout = %" PRId64, left_ms > 0 ? left_ms : 1);
}

/* It makes way for who has waited for deadlock_timeout, which may be longer than the whole wait. */
static bool end_autovacuum(struct pg *pg, int64_t after_ms, struct err *e)
{
	return pg_execf(pg, e,
			"SELECT set_config('deadlock_timeout', '%" PRId64 "', true) WHERE "
			"current_setting('is_superuser') = 'on' AND (SELECT setting::bigint FROM "
			"pg_settings WHERE name = 'deadlock_timeout') > %" PRId64,
			after_ms + 1, after_ms);
}

static bool lock_alone(struct pg *pg, const struct lock_tables *tables, struct err *e)
{
	struct buf sql = BUF_INIT;

	if (!tables->nalone)
		return true;
	put_lock_alone(&sql, tables);
	bool ok = pg_exec(pg, sql.data, e);
	buf_free(&sql);
	return ok;
}

bool lock_acquire(struct pg *pg, const struct lock_tables *tables, const struct lock_times *times,
		  struct err *e)
{
	struct buf sql = BUF_INIT;
	int64_t until = clock_ms() + times->acquire_ms;

	/* lock_timeout is for each table, statement_timeout for all of them */
	put_lock(&sql, tables);
	bool ok = pg_begin(pg, e) && end_autovacuum(pg, times->acquire_ms / 2, e) &&
		  pg_execf(pg, e,
			   "SET LOCAL lock_timeout = %" PRId64
			   "; SET LOCAL statement_timeout = %" PRId64
			   "; SET LOCAL idle_in_transaction_session_timeout = %" PRId64,
			   times->acquire_ms, times->acquire_ms, times->hold_ms) &&
		  lock_alone(pg, tables, e) && lock_limit(pg, until - clock_ms(), e) &&
		  pg_exec(pg, sql.data, e) && lock_limit(pg, times->hold_ms, e);
	buf_free(&sql);
	if (!ok)
		pg_rollback(pg);
	return ok;
}

/* A prepared transaction holds its locks without a process. */
static const char blockers_sql[] =
    "SELECT string_agg(DISTINCT CASE WHEN l.pid IS NULL THEN"
    "   format('prepared transaction %%L of user %%s, age %%s', x.gid, x.owner,"
    "          date_trunc('second', now() - x.prepared))"
    "  WHEN a.backend_type = 'autovacuum worker' THEN"
    "   format('pid %%s (%%s, since %%s), which the server ends, unless it prevents wraparound, for "
    "who waits longer than deadlock_timeout (%%s): raise cutover.lock_timeout above that', l.pid,"
    "          a.query, date_trunc('second', clock_timestamp() - a.xact_start),"
    "          current_setting('deadlock_timeout'))"
    "  ELSE format('pid %%s (user %%s, %%s, transaction age %%s, query age %%s)', l.pid,"
    "          coalesce(a.usename, '?'), coalesce(a.state, '?'),"
    "          coalesce(date_trunc('second', clock_timestamp() - a.xact_start)::text, '?'),"
    "          coalesce(date_trunc('second', clock_timestamp() - a.query_start)::text, '?'))"
    "  END, '; ')"
    "  FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
    "  LEFT JOIN pg_locks own ON l.pid IS NULL AND own.pid IS NULL"
    "    AND own.locktype = 'transactionid' AND own.virtualtransaction = l.virtualtransaction"
    "  LEFT JOIN pg_prepared_xacts x ON x.transaction = own.transactionid"
    " WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM $1::int"
    "   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    "   AND ($2::bool OR l.relation = ANY ($3::regclass[]) OR l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',"
    "                  'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))"
    "   AND l.relation IN " PG_TREE("%s");

static void put_regclasses(struct buf *b, const struct lock_tables *tables)
{
	for (unsigned i = 0; i < tables->count; i++) {
		buf_puts(b, i ? ", " : "");
		buf_literal(b, tables->names[i]);
	}
}

bool lock_blockers(struct pg *pg, const struct lock_tables *tables, int not_pid, struct arena *a,
		   const char **out, struct err *e)
{
	struct buf names = BUF_INIT, sql = BUF_INIT;
	struct pg_result *r = NULL;
	char pid[16];
	const char *params[] = { pid, tables->from_readers ? "true" : "false",
				 arena_text_array(a, tables->alone, tables->nalone) };

	snprintf(pid, sizeof pid, "%d", not_pid);
	put_regclasses(&names, tables);
	buf_printf(&sql, blockers_sql, names.data);
	bool ok = pg_query_row(pg, sql.data, 3, params, &r, e);
	*out = ok ? arena_strdup(a, pg_text(r, 0, 0)) : "";
	pg_result_free(r);
	buf_free(&names);
	buf_free(&sql);
	return ok;
}
