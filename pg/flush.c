#include "pg/flush.h"

#include <stddef.h>

bool flush_look(struct pg *pg, struct flush *out, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(pg, "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()",
			       0, NULL, &r, e);

	if (ok)
		*out = (struct flush){ pg_lsn(r, 0, 0), pg_lsn(r, 0, 1) };
	pg_result_free(r);
	return ok || err_wrap(e, "look at the target's WAL");
}

bool flush_force(struct pg *pg, const char *mark, struct err *e)
{
	bool ok = pg_begin(pg, e) && pg_exec(pg, "SET LOCAL synchronous_commit = on", e) &&
		  pg_exec(pg, mark, e) && pg_commit(pg, e);

	if (!ok)
		pg_rollback(pg);
	return ok || err_wrap(e, "flush the target's WAL");
}

bool flush_later(struct pg *pg, bool *later, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(pg,
			       "SELECT set_config('synchronous_commit', CASE "
			       "current_setting('synchronous_standby_names') WHEN '' THEN 'off' "
			       "ELSE 'on' END, false) = 'off'",
			       0, NULL, &r, e);

	*later = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok || err_wrap(e, "set synchronous_commit");
}
