#include "snapshot/reading.h"

#include "pg/tree.h"

#include <inttypes.h>
#include <stdio.h>

bool reading_begin(struct pg *pg, const char *mode, const char *snapshot, struct err *e)
{
	if (!pg_execf(pg, e, "BEGIN ISOLATION LEVEL REPEATABLE READ%s", mode))
		return false;
	if (pg_execf(pg, e, "SET TRANSACTION SNAPSHOT '%s'", snapshot))
		return true;
	e->kind = ERR_RETRY; /* it was valid, so its exporter is gone, and another can be made */
	return err_wrap(e, "import the snapshot");
}

/*
 * Files that are not those of the snapshot: the statement reads pg_class with the snapshot, the
 * function looks at the catalog as it is now. A partition that is gone has no file any more.
 */
static const char moved_sql[] =
    "SELECT count(*) FILTER (WHERE (SELECT c.relfilenode <> 0"
    "   AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)"
    "  FROM pg_class c WHERE c.oid = t.relid)) FROM " PG_TREE("$1") " t";

static bool find_moved(struct pg *pg, const struct table_plan *t, bool *moved, struct err *e)
{
	struct pg_result *r = NULL;
	char oid[16];
	const char *params[] = { oid };

	snprintf(oid, sizeof oid, "%" PRIu32, t->oid);
	bool ok = pg_query_row(pg, moved_sql, 1, params, &r, e);
	*moved = ok && pg_int(r, 0, 0) > 0;
	pg_result_free(r);
	return ok || err_wrap(e, "look for the files of %s", t->label);
}

bool reading_table(struct pg *pg, const struct table_plan *t, bool *rewritten, struct err *e)
{
	*rewritten = false;
	if (!pg_execf(pg, e, "LOCK TABLE %s IN ACCESS SHARE MODE", t->from))
		return err_wrap(e, "lock %s for reading", t->label);
	if (!find_moved(pg, t, rewritten, e))
		return false;
	return !*rewritten ||
	       err_set(e, ERR_RETRY,
		       "%s was rewritten after the snapshot was taken (ALTER TABLE, VACUUM FULL, "
		       "CLUSTER or TRUNCATE), so it is read under a new one",
		       t->label);
}
