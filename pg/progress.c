#include "pg/progress.h"

#include <inttypes.h>
#include <stdio.h>

static const char update_name[] = "progress", claim_name[] = "claim", all_name[] = "claim_all";

#define MOVE_ROW                                                                                   \
	"UPDATE pgcrossfade.progress SET lsn = $4::pg_lsn, "                                       \
	"commit_time = '2000-01-01 00:00:00+00'::timestamptz "                                     \
	"              + $5::bigint * interval '1 microsecond', "                                  \
	"changes = changes + $6::bigint, transactions = transactions + $7::bigint "                \
	"WHERE migration = $1::text AND direction = $2::text AND part = 0 AND lsn = $3::pg_lsn"

bool progress_ensure(struct pg *target, const struct progress *p, struct err *e)
{
	char lsn[LSN_TEXT];
	const char *params[] = { p->migration, p->direction, p->system, p->slot,
				 lsn_format(p->lsn, lsn) };

	return pg_query(
		   target,
		   "INSERT INTO pgcrossfade.progress (migration, direction, part, system, slot, "
		   "lsn) VALUES ($1, $2, 0, $3, $4, $5::pg_lsn) ON CONFLICT DO NOTHING",
		   5, params, NULL, e) ||
	       err_wrap(e, "write progress");
}

bool progress_load(struct pg *target, const char *migration, const char *direction, struct arena *a,
		   struct progress **out, struct err *e)
{
	const char *params[] = { migration, direction };
	struct pg_result *r = NULL;

	*out = NULL;
	if (!pg_query(target,
		      "SELECT system, slot, lsn, changes, transactions, (extract(epoch FROM "
		      "commit_time - '2000-01-01 00:00:00+00'::timestamptz) * 1000000)::bigint "
		      "FROM pgcrossfade.progress "
		      "WHERE migration = $1 AND direction = $2 AND part = 0",
		      2, params, &r, e))
		return err_wrap(e, "read progress");
	if (pg_rows(r)) {
		struct progress *p = arena_zalloc(a, sizeof *p);
		*p = (struct progress){ .migration = arena_strdup(a, migration),
					.direction = arena_strdup(a, direction),
					.system = arena_strdup(a, pg_text(r, 0, 0)),
					.slot = arena_strdup(a, pg_text(r, 0, 1)),
					.lsn = pg_lsn(r, 0, 2),
					.changes = (uint64_t)pg_int(r, 0, 3),
					.transactions = (uint64_t)pg_int(r, 0, 4),
					.commit_time = pg_int(r, 0, 5) };
		*out = p;
	}
	pg_result_free(r);
	return true;
}

static bool prepare_claim(struct pg *target, struct err *e)
{
	return pg_prepare(target, claim_name,
			  "WITH claimed AS (SELECT lsn FROM pgcrossfade.progress "
			  "WHERE migration = $1::text AND direction = $2::text AND part = 0 "
			  "AND lsn = $3::pg_lsn FOR UPDATE) SELECT 1 / count(*) FROM claimed",
			  e) ||
	       err_wrap(e, "prepare the claim");
}

static bool prepare_update(struct pg *target, struct err *e)
{
	return (pg_prepare(target, update_name, MOVE_ROW, e) &&
		pg_prepare(
		    target, all_name,
		    "WITH moved AS (" MOVE_ROW
		    " AND pg_logical_emit_message(true, 'pgcrossfade', $8::text) IS NOT NULL "
		    "RETURNING 1) SELECT 1 / count(*) FROM moved",
		    e)) ||
	       err_wrap(e, "prepare progress");
}

bool progress_prepare(struct pg *target, struct err *e)
{
	return prepare_claim(target, e) && prepare_update(target, e);
}

bool progress_send_claim(struct pipe *pipe, const struct progress *p, lsn_t from, struct err *e)
{
	char lsn[LSN_TEXT];
	const char *params[] = { p->migration, p->direction, lsn_format(from, lsn) };

	return pipe_send_prepared(pipe, claim_name, 3, params, e);
}

/* mark NULL: the transaction has it already, and the claim. */
static bool send_update(struct pipe *pipe, const struct progress *p, const struct progress_step *s,
			const char *mark, struct err *e)
{
	char from[LSN_TEXT], to[LSN_TEXT], time[24], changes[24], transactions[24];
	const char *params[] = { p->migration,          p->direction, lsn_format(s->from, from),
				 lsn_format(s->to, to), time,         changes,
				 transactions,          mark };

	snprintf(time, sizeof time, "%" PRId64, s->commit_time);
	snprintf(changes, sizeof changes, "%" PRIu64, s->changes);
	snprintf(transactions, sizeof transactions, "%" PRIu64, s->transactions);
	return mark ? pipe_send_prepared(pipe, all_name, 8, params, e)
		    : pipe_send_prepared(pipe, update_name, 7, params, e);
}

bool progress_send(struct pipe *pipe, const struct progress *p, const struct progress_step *s,
		   struct err *e)
{
	return send_update(pipe, p, s, NULL, e);
}

bool progress_send_all(struct pipe *pipe, const struct progress *p, const struct progress_step *s,
		       const char *mark, struct err *e)
{
	return send_update(pipe, p, s, mark, e);
}
