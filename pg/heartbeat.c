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

bool heartbeat_load(struct pg *target, const char *migration, struct arena *a,
		    struct heartbeat **out, struct err *e)
{
	struct pg_result *r = NULL;

	*out = NULL;
	if (!pg_query(target,
		      "SELECT host, pid, activity, applied, source, lag_seconds, queued_bytes, "
		      "extract(epoch FROM clock_timestamp() - beat_at), change_rate, bottleneck, "
		      "extract(epoch FROM beat_at - started_at), confirmed "
		      "FROM pgcrossfade.service "
		      "WHERE migration = $1",
		      1, &migration, &r, e))
		return err_wrap(e, "read sign of life");
	if (pg_rows(r)) {
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
		*out = h;
	}
	pg_result_free(r);
	return true;
}
