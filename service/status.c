#include "service/status.h"

#include "pg/progress.h"

#include <stdlib.h>
#include <string.h>

bool status_running(struct pg *target, const char *migration, bool *running, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct ledger_run *runs;
	unsigned count;
	bool ok = ledger_runs(target, migration, &scratch, &runs, &count, e);

	*running = ok && count && runs[0].holds;
	arena_finish(&scratch);
	return ok;
}

static bool load_tables(struct pg *target, const char *migration, struct arena *a, struct status *s,
			struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target,
		      "SELECT relation, count(*), count(d.lg), coalesce(sum(d.rows), 0), "
		      "coalesce(sum(d.bytes), 0) FROM pgcrossfade.chunk c "
		      "LEFT JOIN pgcrossfade.chunk_copied d USING (migration, relation, no) "
		      "WHERE migration = $1 GROUP BY relation ORDER BY relation",
		      1, &migration, &r, e))
		return false;
	s->ntables = pg_rows(r);
	s->tables = arena_array(a, s->ntables, sizeof *s->tables);
	for (unsigned i = 0; i < s->ntables; i++) {
		struct table_status *t = &s->tables[i];
		t->table = arena_strdup(a, pg_text(r, i, 0));
		t->chunks = (unsigned)pg_int(r, i, 1);
		t->chunks_done = (unsigned)pg_int(r, i, 2);
		t->rows = (uint64_t)pg_int(r, i, 3);
		t->bytes = (uint64_t)pg_int(r, i, 4);
		s->rows_copied += t->rows;
		s->bytes_copied += t->bytes;
	}
	pg_result_free(r);
	return true;
}

static bool load_copy_time(struct pg *target, const char *migration, struct status *s,
			   struct err *e)
{
	struct pg_result *r = NULL;
	bool ok =
	    pg_query_row(target,
			 "SELECT coalesce(extract(epoch FROM max(copied_at) - min(m.created_at))"
			 ", 0) FROM pgcrossfade.chunk_copied c "
			 "JOIN pgcrossfade.migration m ON m.name = c.migration "
			 "WHERE migration = $1",
			 1, &migration, &r, e);

	s->copy_seconds = ok ? strtod(pg_text(r, 0, 0), NULL) : 0;
	pg_result_free(r);
	return ok;
}

/* Over the last minute, less what of it this run or the phase has not seen. */
static bool load_copy_rate(struct pg *target, const char *migration, struct status *s,
			   struct err *e)
{
	struct pg_result *r = NULL;

	if (strcmp(s->migration->phase, "copy") != 0 || !s->running)
		return true;
	if (!pg_query(
		target,
		"SELECT count(*) / seconds, sum(rows) / seconds, sum(bytes) / seconds FROM ("
		"SELECT since, extract(epoch FROM clock_timestamp() - since)::float8 AS seconds "
		"FROM (SELECT greatest(clock_timestamp() - interval '1 min', m.phase_since, "
		"s.started_at) AS since FROM pgcrossfade.migration m "
		"LEFT JOIN pgcrossfade.service s ON s.migration = m.name WHERE m.name = $1) q) w "
		"JOIN pgcrossfade.chunk_copied ON migration = $1 AND copied_at >= since "
		"GROUP BY seconds",
		1, &migration, &r, e))
		return false;
	if (pg_rows(r)) {
		s->chunk_rate = strtod(pg_text(r, 0, 0), NULL);
		s->row_rate = strtod(pg_text(r, 0, 1), NULL);
		s->byte_rate = strtod(pg_text(r, 0, 2), NULL);
	}
	pg_result_free(r);
	return true;
}

static bool load_stream(struct pg *target, const char *migration, struct arena *a, struct status *s,
			struct err *e)
{
	struct progress *p;
	struct heartbeat *h;

	if (!progress_load(target, migration, "forward", a, &p, e) ||
	    !heartbeat_load(target, migration, a, &h, e))
		return false;
	if (p) {
		s->changes_applied = p->changes;
		s->transactions_applied = p->transactions;
		s->applied = p->lsn;
	}
	if (h && h->applied) {
		s->applied = h->applied > s->applied ? h->applied : s->applied;
	}
	s->heartbeat = h;
	return true;
}

bool status_load(struct pg *target, const char *migration, struct arena *a, struct status **out,
		 struct err *e)
{
	struct status *s = arena_zalloc(a, sizeof *s);
	struct ledger_migration *m;

	*out = NULL;
	if (!ledger_load(target, migration, a, &m, e))
		return false;
	if (!m)
		return true;
	s->migration = m;
	if (!status_running(target, migration, &s->running, e) ||
	    !load_tables(target, migration, a, s, e) || !load_copy_time(target, migration, s, e) ||
	    !load_copy_rate(target, migration, s, e) ||
	    !ledger_reject_counts(target, migration, a, &s->rejects, &s->nrejects, e) ||
	    !load_stream(target, migration, a, s, e))
		return err_wrap(e, "read status");
	*out = s;
	return true;
}
