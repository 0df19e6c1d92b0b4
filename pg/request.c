#include "pg/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUEST_COLUMNS "id, kind, argument, state, coalesce(message, '')"
/* A run has taken it. */
#define UNANSWERED "state IN ('running', 'withdrawn')"

static struct request *read_request(struct arena *a, const struct pg_result *r)
{
	struct request *q = arena_zalloc(a, sizeof *q);

	q->id = pg_int(r, 0, 0);
	q->kind = arena_strdup(a, pg_text(r, 0, 1));
	q->argument = arena_strdup(a, pg_text(r, 0, 2));
	q->state = arena_strdup(a, pg_text(r, 0, 3));
	q->message = arena_strdup(a, pg_text(r, 0, 4));
	return q;
}

bool request_post(struct pg *target, const char *migration, const char *kind, const char *argument,
		  int64_t *id, struct err *e)
{
	const char *params[] = { migration, kind, argument };
	struct pg_result *r = NULL;
	bool ok = pg_query_row(target,
			       "INSERT INTO pgcrossfade.request (migration, kind, argument) "
			       "VALUES ($1, $2, $3) RETURNING id",
			       3, params, &r, e);

	*id = ok ? pg_int(r, 0, 0) : 0;
	pg_result_free(r);
	return ok || err_wrap(e, "write request");
}

bool request_take(struct pg *target, const char *migration, struct arena *a, struct request **out,
		  struct err *e)
{
	struct pg_result *r = NULL;

	*out = NULL;
	if (!pg_query(target,
		      "UPDATE pgcrossfade.request SET state = 'running' WHERE id = ("
		      "  SELECT min(id) FROM pgcrossfade.request "
		      "  WHERE migration = $1 AND state = 'waiting') "
		      "RETURNING " REQUEST_COLUMNS,
		      1, &migration, &r, e))
		return err_wrap(e, "read requests");
	if (pg_rows(r))
		*out = read_request(a, r);
	pg_result_free(r);
	return true;
}

bool request_finish(struct pg *target, int64_t id, bool done, const char *message, struct err *e)
{
	char number[24];
	const char *params[] = { number, done ? "done" : "failed", message };

	snprintf(number, sizeof number, "%" PRId64, id);
	return pg_query(target,
			"UPDATE pgcrossfade.request SET state = $2, message = $3, "
			"finished_at = clock_timestamp() WHERE id = $1::bigint",
			3, params, NULL, e) ||
	       err_wrap(e, "answer request");
}

/* A statement about one request: $1 is its id. */
static bool query_id(struct pg *target, const char *sql, int64_t id, struct pg_result **r,
		     struct err *e)
{
	char number[24];
	const char *params[] = { number };

	snprintf(number, sizeof number, "%" PRId64, id);
	return pg_query(target, sql, 1, params, r, e);
}

bool request_withdraw(struct pg *target, int64_t id, bool *withdrawn, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = query_id(target,
			   "DELETE FROM pgcrossfade.request "
			   "WHERE id = $1::bigint AND state = 'waiting'",
			   id, &r, e);

	*withdrawn = ok && pg_affected(r) == 1;
	pg_result_free(r);
	return ok || err_wrap(e, "withdraw request");
}

bool request_recall(struct pg *target, int64_t id, struct err *e)
{
	return query_id(target,
			"UPDATE pgcrossfade.request SET state = 'withdrawn' "
			"WHERE id = $1::bigint AND state = 'running'",
			id, NULL, e) ||
	       err_wrap(e, "withdraw request");
}

bool request_wanted(struct pg *target, int64_t id, bool *wanted, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = query_id(target,
			   "SELECT FROM pgcrossfade.request "
			   "WHERE id = $1::bigint AND state = 'running'",
			   id, &r, e);

	*wanted = ok && pg_rows(r) == 1;
	pg_result_free(r);
	return ok || err_wrap(e, "look whether a request still stands");
}

bool request_settled(struct pg *target, const char *migration, const char *kind, bool *settled,
		     struct err *e)
{
	const char *params[] = { migration, kind };
	struct pg_result *r = NULL;
	bool ok = pg_query(target,
			   "SELECT FROM pgcrossfade.request WHERE migration = $1 AND kind = $2 "
			   "AND " UNANSWERED,
			   2, params, &r, e);

	*settled = ok && pg_rows(r) == 0;
	pg_result_free(r);
	return ok || err_wrap(e, "read requests");
}

bool request_settle(struct pg *target, const char *migration, const char *kind, bool done,
		    const char *message, struct err *e)
{
	const char *params[] = { migration, done ? "done" : "failed", message, kind };

	return pg_query(target,
			"UPDATE pgcrossfade.request SET state = $2, message = $3, "
			"finished_at = clock_timestamp() WHERE migration = $1 "
			"AND " UNANSWERED " AND kind = coalesce($4, kind)",
			4, params, NULL, e) ||
	       err_wrap(e, "answer requests");
}

bool request_load(struct pg *target, int64_t id, struct arena *a, struct request **out,
		  struct err *e)
{
	struct pg_result *r = NULL;

	*out = NULL;
	if (!query_id(target,
		      "SELECT " REQUEST_COLUMNS " FROM pgcrossfade.request WHERE id = $1::bigint",
		      id, &r, e))
		return err_wrap(e, "read request");
	if (pg_rows(r))
		*out = read_request(a, r);
	pg_result_free(r);
	return true;
}

bool request_pending(struct pg *target, const char *migration, struct arena *a,
		     struct request_wait **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target,
		      "SELECT kind, state, extract(epoch FROM clock_timestamp() - requested_at) "
		      "FROM pgcrossfade.request WHERE migration = $1 "
		      "AND state NOT IN ('done', 'failed') ORDER BY id",
		      1, &migration, &r, e))
		return err_wrap(e, "read requests");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct request_wait){ arena_strdup(a, pg_text(r, i, 0)),
						   arena_strdup(a, pg_text(r, i, 1)),
						   strtod(pg_text(r, i, 2), NULL) };
	pg_result_free(r);
	return true;
}
