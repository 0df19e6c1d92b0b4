#include "pg/activity.h"

#include <stdlib.h>
#include <string.h>

/* Of pg_stat_activity a; $1: application_name, which the server cuts at 63 bytes. */
#define OURS                                                                                       \
	"a.datname = current_database() AND a.application_name = left($1, 63) "                    \
	"AND a.pid <> pg_backend_pid()"

/* A prepared transaction holds its locks without a process: pg_blocking_pids says 0. */
static const char blocks_sql[] =
    "WITH waiting AS ("
    " SELECT a.pid, a.query, w.relation, w.transactionid, w.locktype,"
    "  coalesce(w.waitstart, a.query_start) AS since"
    "  FROM pg_stat_activity a JOIN pg_locks w USING (pid)"
    "  WHERE " OURS " AND NOT w.granted),"
    " prepared AS ("
    " SELECT h.relation, h.transactionid, x.gid, x.owner, x.prepared"
    "  FROM pg_locks h JOIN pg_locks own ON own.pid IS NULL"
    "   AND own.locktype = 'transactionid' AND own.virtualtransaction = h.virtualtransaction"
    "  JOIN pg_prepared_xacts x ON x.transaction = own.transactionid"
    "  WHERE h.pid IS NULL AND h.granted) "
    "SELECT DISTINCT w.pid, w.query,"
    "  CASE WHEN w.relation IS NOT NULL THEN w.relation::regclass::text"
    "       WHEN w.transactionid IS NOT NULL THEN 'transaction ' || w.transactionid"
    "       ELSE w.locktype END,"
    "  extract(epoch FROM clock_timestamp() - w.since), by.pid, coalesce(p.gid, ''),"
    "  coalesce(b.usename, p.owner, '?'),"
    "  coalesce(b.state, CASE WHEN by.pid = 0 THEN 'prepared' END, '?'),"
    "  coalesce(extract(epoch FROM clock_timestamp() - coalesce(b.xact_start, p.prepared)), -1),"
    "  coalesce(b.query, '')"
    "  FROM waiting w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS by(pid)"
    "  LEFT JOIN pg_stat_activity b ON b.pid = by.pid AND by.pid <> 0"
    "  LEFT JOIN prepared p ON by.pid = 0 AND (p.relation = w.relation"
    "    OR p.transactionid = w.transactionid)"
    "  ORDER BY 1, 5";

enum { WORDS = 60 };

/* On one line, and not all of it. */
static const char *first_words(struct arena *a, const char *query)
{
	char *out = arena_alloc(a, WORDS + 4), *at = out;

	for (; *query && at - out < WORDS; query++) {
		bool space = (unsigned char)*query <= ' ';
		if (!space)
			*at++ = *query;
		else if (at > out && at[-1] != ' ')
			*at++ = ' ';
	}
	while (at > out && ((unsigned char)*query & 0xC0) == 0x80)
		at--, query--; /* not in the middle of a character */
	memcpy(at, *query ? "..." : "", *query ? 4 : 1);
	return out;
}

static void read_block(const struct pg_result *r, unsigned row, struct arena *a,
		       struct activity_block *out)
{
	*out = (struct activity_block){
		.pid = (int)pg_int(r, row, 0),
		.query = first_words(a, pg_text(r, row, 1)),
		.object = arena_strdup(a, pg_text(r, row, 2)),
		.seconds = strtod(pg_text(r, row, 3), NULL),
		.by_pid = (int)pg_int(r, row, 4),
		.by = arena_strdup(a, pg_text(r, row, 5)),
		.user = arena_strdup(a, pg_text(r, row, 6)),
		.state = arena_strdup(a, pg_text(r, row, 7)),
		.age = strtod(pg_text(r, row, 8), NULL),
		.by_query = first_words(a, pg_text(r, row, 9)),
	};
}

bool activity_blocks(struct pg *pg, const char *application, struct arena *a,
		     struct activity_block **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(pg, blocks_sql, 1, &application, &r, e))
		return err_wrap(e, "see what waits for locks");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		read_block(r, i, a, &(*out)[i]);
	pg_result_free(r);
	return true;
}

static const char builds_sql[] =
    "SELECT p.relid::regclass, a.query, p.phase,"
    "  CASE WHEN p.tuples_total > 0 THEN p.tuples_done::float8 / p.tuples_total"
    "   WHEN p.blocks_total > 0 THEN p.blocks_done::float8 / p.blocks_total ELSE -1 END"
    "  FROM pg_stat_progress_create_index p JOIN pg_stat_activity a USING (pid)"
    "  WHERE " OURS " ORDER BY 1, 2";

bool activity_builds(struct pg *pg, const char *application, struct arena *a,
		     struct activity_build **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(pg, builds_sql, 1, &application, &r, e))
		return err_wrap(e, "see the progress of indexes");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct activity_build){ .table = arena_strdup(a, pg_text(r, i, 0)),
						     .statement = first_words(a, pg_text(r, i, 1)),
						     .phase = arena_strdup(a, pg_text(r, i, 2)),
						     .share = strtod(pg_text(r, i, 3), NULL) };
	pg_result_free(r);
	return true;
}

static const char copies_sql[] =
    "SELECT count(*), count(*) FILTER (WHERE a.wait_event_type = 'Client')"
    "  FROM pg_stat_activity a"
    "  WHERE " OURS " AND a.state = 'active' AND a.query LIKE 'COPY %'";

bool activity_copies(struct pg *pg, const char *application, unsigned *copies,
		     unsigned *waiting_for_us, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(pg, copies_sql, 1, &application, &r, e);

	*copies = ok ? (unsigned)pg_int(r, 0, 0) : 0;
	*waiting_for_us = ok ? (unsigned)pg_int(r, 0, 1) : 0;
	pg_result_free(r);
	return ok || err_wrap(e, "see the copy");
}
