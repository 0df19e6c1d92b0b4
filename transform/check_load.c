/*
 * What goes on at the source right now: who holds up the slot, and how much WAL it will keep
 * while the copy goes on. Two looks, a second apart.
 */
#include "transform/check.h"

#include "core/clock.h"
#include "pg/conn.h"

#include <inttypes.h>

enum { LOOK_MS = 1000 };

/* --- transactions that a new slot waits for --- */

/* Of other roles' sessions only the id is seen, unless we may read all statistics. */
static const char running_sql[] =
    "SELECT pid || '/' || backend_xid, format('pid %s (user %s, transaction age %s, query age %s, "
    "state %s)', pid, coalesce(usename, '?'),"
    "  coalesce(date_trunc('second', clock_timestamp() - xact_start)::text, '?'),"
    "  coalesce(date_trunc('second', clock_timestamp() - query_start)::text, '?'),"
    "  coalesce(state, '?'))"
    " FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
    "  AND coalesce(application_name, '') NOT LIKE 'pgcrossfade %'"
    "  AND coalesce(xact_start, '-infinity') < clock_timestamp() - interval '1 second'"
    " ORDER BY xact_start NULLS LAST LIMIT 20";

static const char prepared_sql[] =
    "SELECT quote_literal(gid), owner, date_trunc('second', clock_timestamp() - prepared)"
    " FROM pg_prepared_xacts ORDER BY prepared";

static bool listed(const struct pg_result *r, const char *id)
{
	for (unsigned i = 0; i < pg_rows(r); i++)
		if (strcmp(pg_text(r, i, 0), id) == 0)
			return true;
	return false;
}

static void report_running(struct check *c, const struct pg_result *before,
			   const struct pg_result *now)
{
	for (unsigned i = 0; i < pg_rows(now); i++)
		if (listed(before, pg_text(now, i, 0)))
			check_warn(c, c->source.subject,
				   "%s has been writing for a while, and a slot cannot be made "
				   "before its transaction ends; run waits for it, or end it: "
				   "SELECT pg_terminate_backend(%.*s);",
				   pg_text(now, i, 1), (int)strcspn(pg_text(now, i, 0), "/"),
				   pg_text(now, i, 0));
}

static bool check_prepared(struct check *c, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(c->source.pg, prepared_sql, 0, NULL, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		check_warn(
		    c, c->source.subject,
		    "prepared transaction %s of user %s, age %s, is not ended, and neither a "
		    "slot nor a cutover gets past it; run: COMMIT PREPARED %s; or ROLLBACK "
		    "PREPARED %s;",
		    pg_text(r, i, 0), pg_text(r, i, 1), pg_text(r, i, 2), pg_text(r, i, 0),
		    pg_text(r, i, 0));
	pg_result_free(r);
	return ok;
}

/* --- WAL --- */

static const char wal_sql[] =
    "SELECT pg_current_wal_insert_lsn() - '0/0', (SELECT setting::bigint * 1048576"
    " FROM pg_settings WHERE name = 'max_slot_wal_keep_size')";

struct look {
	int64_t at_ms, wal, keep; /* keep below 0: no limit */
	struct pg_result *running;
};

static bool look(struct check *c, struct look *out, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->source.pg, wal_sql, 0, NULL, &r, e) &&
		  pg_query(c->source.pg, running_sql, 0, NULL, &out->running, e);

	out->at_ms = clock_ms();
	if (ok) {
		out->wal = pg_int(r, 0, 0);
		out->keep = pg_int(r, 0, 1);
	}
	pg_result_free(r);
	return ok;
}

static const char *megabytes(struct check *c, double bytes)
{
	return arena_printf(c->arena, "%.0f MB", bytes / 1048576);
}

static const char *tell(struct check *c, const struct copy_time *copy, double rate, double kept)
{
	bool same = strcmp(c->source.system, c->target.system) == 0;
	const char *time = copy->seconds < 0
			       ? "an unknown time"
			       : arena_printf(c->arena,
					      "%.1f s or more (a chunk was read just now, and %u "
					      "worker%s copy)",
					      copy->seconds, copy->workers,
					      copy->workers == 1 ? "" : "s");

	return arena_printf(
	    c->arena,
	    "a copy of %s takes %s, and meanwhile the slot keeps about %s of WAL (%.1f MB a second "
	    "were written just now%s)",
	    megabytes(c, (double)copy->bytes), time, megabytes(c, kept), rate / 1048576,
	    same ? ", and the copy writes into the same WAL" : "");
}

static void report_wal(struct check *c, const struct copy_time *copy, const struct look *before,
		       const struct look *now)
{
	double rate = (double)(now->wal - before->wal) * 1000 /
		      (double)(now->at_ms - before->at_ms);
	/* in one cluster the copy itself writes what it copies into the same WAL */
	bool same = strcmp(c->source.system, c->target.system) == 0;
	double kept = (copy->seconds > 0 ? rate * copy->seconds : 0) +
		      (same ? (double)copy->bytes : 0);
	const char *estimate = tell(c, copy, rate, kept);

	if (now->keep >= 0 && kept > (double)now->keep / 2)
		check_warn(
		    c, c->source.subject,
		    "%s, while max_slot_wal_keep_size is %s; raise it or set it to -1, or the "
		    "server may give up the slot",
		    estimate, megabytes(c, (double)now->keep));
	else
		check_pass(c, c->source.subject, "%s", estimate);
}

bool check_load(struct check *c, const struct plan *plan, struct err *e)
{
	struct look before = { 0 }, now = { 0 };
	struct copy_time copy = { 0 };
	bool ok = look(c, &before, e);

	if (ok) {
		clock_sleep_ms(LOOK_MS);
		ok = look(c, &now, e) && c->deep->estimate(c->deep->context, plan, &copy, e);
	}
	if (ok) {
		report_running(c, before.running, now.running);
		report_wal(c, &copy, &before, &now);
	}
	pg_result_free(before.running);
	pg_result_free(now.running);
	return (ok && check_prepared(c, e)) || err_wrap(e, "%s", c->source.subject);
}
