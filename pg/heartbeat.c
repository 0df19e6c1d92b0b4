#include "pg/heartbeat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool heartbeat_write(struct pg *target, const char *migration, const struct heartbeat *h,
		     struct err *e)
{
	char pid[24], applied[LSN_TEXT], source[LSN_TEXT], lag[32], queued[24], rate[32], up[32];
	const char *params[] = { migration,
				 h->host,
				 pid,
				 h->activity,
				 lsn_format(h->applied, applied),
				 lsn_format(h->source, source),
				 lag,
				 queued,
				 rate,
				 h->bottleneck,
				 up };

	snprintf(pid, sizeof pid, "%" PRId64, h->pid);
	snprintf(lag, sizeof lag, "%.6f", h->lag_seconds);
	snprintf(queued, sizeof queued, "%" PRIu64, h->queued_bytes);
	snprintf(rate, sizeof rate, "%.6f", h->change_rate);
	snprintf(up, sizeof up, "%.6f", h->up_seconds);
	return pg_query(
		   target,
		   "INSERT INTO pgcrossfade.service AS s (migration, host, pid, activity, "
		   "applied, source, lag_seconds, queued_bytes, change_rate, bottleneck, "
		   "started_at, beat_at, confirmed) VALUES ($1, $2, $3::bigint, $4, "
		   "$5::pg_lsn, $6::pg_lsn, $7::float8, $8::bigint, $9::float8, $10, "
		   "clock_timestamp() - $11::float8 * interval '1 s', clock_timestamp(), $5::pg_lsn) "
		   "ON CONFLICT (migration) DO UPDATE SET host = excluded.host, "
		   "pid = excluded.pid, activity = excluded.activity, "
		   "applied = excluded.applied, source = excluded.source, "
		   "lag_seconds = excluded.lag_seconds, "
		   "queued_bytes = excluded.queued_bytes, change_rate = excluded.change_rate, "
		   "bottleneck = excluded.bottleneck, started_at = excluded.started_at, "
		   "beat_at = excluded.beat_at, "
		   "confirmed = greatest(s.confirmed, excluded.confirmed)",
		   11, params, NULL, e) ||
	       err_wrap(e, "write sign of life");
}

bool heartbeat_write_trouble(struct pg *target, const char *migration, const struct heartbeat *h,
			     const struct heartbeat_trouble *trouble, bool locked, struct err *e)
{
	char pid[24], up[32], since[32], tries[16], next[32];
	const char *params[] = { migration, h->host,        pid,
				 up,        trouble->error, since,
				 tries,     next,           locked ? "true" : "false" };

	snprintf(pid, sizeof pid, "%" PRId64, h->pid);
	snprintf(up, sizeof up, "%.6f", h->up_seconds);
	snprintf(since, sizeof since, "%.6f", trouble->since_seconds);
	snprintf(tries, sizeof tries, "%u", trouble->tries);
	snprintf(next, sizeof next, "%.6f", trouble->next_seconds);
	return pg_query(
		   target,
		   "INSERT INTO pgcrossfade.service AS s (migration, host, pid, started_at, "
		   "beat_at, error, error_since, tries, next_try) "
		   "SELECT $1, $2, $3::bigint, now - $4::float8 * interval '1 s', now, $5, "
		   "now - $6::float8 * interval '1 s', $7::int, now + $8::float8 * interval '1 s' "
		   "FROM pgcrossfade.migration, clock_timestamp() AS now WHERE name = $1 "
		   "ON CONFLICT (migration) DO UPDATE SET host = excluded.host, "
		   "pid = excluded.pid, started_at = excluded.started_at, "
		   "beat_at = excluded.beat_at, error = excluded.error, "
		   /* the same moment, told once more, does not move */
		   "error_since = CASE WHEN abs(extract(epoch FROM s.error_since - "
		   "excluded.error_since)) < 1 THEN s.error_since ELSE excluded.error_since END, "
		   "tries = excluded.tries, "
		   "next_try = excluded.next_try, queued_bytes = 0, change_rate = 0, "
		   "bottleneck = '' "
		   "WHERE $9::bool OR (s.host, s.pid) = (excluded.host, excluded.pid)",
		   9, params, NULL, e) ||
	       err_wrap(e, "write sign of life");
}

bool heartbeat_end_trouble(struct pg *target, const char *migration, struct err *e)
{
	return pg_query(target,
			"UPDATE pgcrossfade.service SET error = NULL, error_since = NULL, "
			"tries = NULL, next_try = NULL "
			"WHERE migration = $1 AND error IS NOT NULL",
			1, &migration, NULL, e) ||
	       err_wrap(e, "write sign of life");
}

/* error, error_since, its age, tries, time to the next try: from that column on */
static struct heartbeat_trouble *read_trouble(struct arena *a, const struct pg_result *r,
					      unsigned column)
{
	struct heartbeat_trouble *t = arena_zalloc(a, sizeof *t);

	t->error = arena_strdup(a, pg_text(r, 0, column));
	t->since = arena_strdup(a, pg_text(r, 0, column + 1));
	t->since_seconds = strtod(pg_text(r, 0, column + 2), NULL);
	t->tries = (unsigned)pg_int(r, 0, column + 3);
	t->next_seconds = strtod(pg_text(r, 0, column + 4), NULL);
	return t;
}

static struct heartbeat *read_heartbeat(struct arena *a, const struct pg_result *r)
{
	struct heartbeat *h = arena_zalloc(a, sizeof *h);

	h->host = arena_strdup(a, pg_text(r, 0, 0));
	h->pid = pg_int(r, 0, 1);
	h->activity = arena_strdup(a, pg_text(r, 0, 2));
	h->applied = pg_lsn(r, 0, 3);
	h->source = pg_lsn(r, 0, 4);
	h->lag_seconds = strtod(pg_text(r, 0, 5), NULL);
	h->queued_bytes = (uint64_t)pg_int(r, 0, 6);
	h->age_seconds = strtod(pg_text(r, 0, 7), NULL);
	h->change_rate = strtod(pg_text(r, 0, 8), NULL);
	h->bottleneck = arena_strdup(a, pg_text(r, 0, 9));
	h->up_seconds = strtod(pg_text(r, 0, 10), NULL);
	h->confirmed = pg_lsn(r, 0, 11);
	h->trouble = pg_value(r, 0, 12) ? read_trouble(a, r, 12) : NULL;
	return h;
}

bool heartbeat_load(struct pg *target, const char *migration, struct arena *a,
		    struct heartbeat **out, struct err *e)
{
	struct pg_result *r = NULL;

	*out = NULL;
	if (!pg_query(target,
		      "SELECT host, pid, activity, applied, source, lag_seconds, queued_bytes, "
		      "extract(epoch FROM clock_timestamp() - beat_at), change_rate, bottleneck, "
		      "extract(epoch FROM beat_at - started_at), confirmed, error, error_since, "
		      "extract(epoch FROM clock_timestamp() - error_since), tries, "
		      "extract(epoch FROM next_try - clock_timestamp()) "
		      "FROM pgcrossfade.service "
		      "WHERE migration = $1",
		      1, &migration, &r, e))
		return err_wrap(e, "read sign of life");
	if (pg_rows(r))
		*out = read_heartbeat(a, r);
	pg_result_free(r);
	return true;
}
