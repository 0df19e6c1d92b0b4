#include "pg/ledger.h"

#include <stdlib.h>

bool ledger_lock(struct pg *target, const char *migration, bool *taken, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(
	    target, "SELECT pg_try_advisory_lock(hashtext('pgcrossfade.run'), hashtext($1))", 1,
	    &migration, &r, e);

	*taken = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

bool ledger_lock_wait(struct pg *target, const char *migration, bool waits, struct err *e)
{
	return pg_query(target,
			waits ? "SELECT pg_advisory_lock_shared(hashtext('pgcrossfade.wait'),"
				" hashtext($1))"
			      : "SELECT pg_advisory_unlock_shared(hashtext('pgcrossfade.wait'),"
				" hashtext($1))",
			1, &migration, NULL, e);
}

/* A lock of two int4 keys, as pg_locks shows it. */
#define OID_OF(key) "(hashtext(" key ")::bigint & 4294967295)::oid"

static const char runs_sql[] = "SELECT l.classid = " OID_OF(
    "'pgcrossfade.run'") ", l.pid,"
			 "  coalesce(extract(epoch FROM clock_timestamp() - a.backend_start), -1)"
			 "  FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)"
			 "  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2"
			 "  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
			 "  AND l.classid IN (" OID_OF("'pgcrossfade.run'") ", " OID_OF(
			     "'pgcrossfade.wait'") ")"
						   "  AND l.objid = " OID_OF(
						       "$1") " ORDER BY 1 DESC, 3 DESC, 2";

bool ledger_runs(struct pg *target, const char *migration, struct arena *a, struct ledger_run **out,
		 unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	*count = 0;
	if (!pg_query(target, runs_sql, 1, &migration, &r, e))
		return err_wrap(e, "look for a run");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct ledger_run){ pg_bool(r, i, 0), (int)pg_int(r, i, 1),
						 strtod(pg_text(r, i, 2), NULL) };
	pg_result_free(r);
	return true;
}
