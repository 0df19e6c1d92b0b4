#include "pg/sequence.h"

#include "pg/quote.h"

#include <inttypes.h>
#include <stdio.h>

/* In order: old sequence's value or NULL, twice, the sequence, headroom, its literal, the
 * column twice, the table. */
static const char next_sql[] =
    "SELECT CASE WHEN q.seqincrement > 0"
    "   THEN least(q.seqmax, greatest(s.last_value, greatest(v.highest, %s) + q.step))"
    "   ELSE greatest(q.seqmin, least(s.last_value, least(v.lowest, %s) + q.step)) END::bigint"
    "  AS next, s.last_value FROM %s s,"
    "       (SELECT *, seqincrement::numeric * %" PRIu64 " AS step FROM pg_sequence"
    "         WHERE seqrelid = %s::regclass) q,"
    "       (SELECT max(%s)::numeric AS highest, min(%s)::numeric AS lowest FROM %s) v";

static bool old_value(struct pg *source, const char *sequence, char out[32], struct err *e)
{
	struct buf sql = BUF_INIT;
	struct pg_result *r = NULL;

	snprintf(out, 32, "NULL");
	if (!sequence)
		return true;
	buf_printf(&sql, "SELECT last_value FROM %s", sequence);
	bool ok = pg_query_row(source, sql.data, 0, NULL, &r, e);
	if (ok)
		snprintf(out, 32, "%" PRId64, pg_int(r, 0, 0));
	pg_result_free(r);
	buf_free(&sql);
	return ok;
}

static bool put_next(struct pg *source, const struct sequence_plan *s, uint64_t headroom,
		     const char *literal, struct buf *sql, struct err *e)
{
	char old[32];

	if (!old_value(source, s->source_sequence, old, e))
		return false;
	buf_printf(sql, next_sql, old, old, s->target_sequence, headroom, literal, s->target_column,
		   s->target_column, s->target_table);
	return true;
}

bool sequence_next(struct pg *source, struct pg *target, const struct sequence_plan *s,
		   uint64_t headroom, struct sequence_step *out, struct err *e)
{
	struct buf sql = BUF_INIT, literal = BUF_INIT;
	struct pg_result *r = NULL;

	buf_literal(&literal, s->target_sequence);
	bool ok = put_next(source, s, headroom, literal.data, &sql, e) &&
		  pg_query_row(target, sql.data, 0, NULL, &r, e);
	if (ok)
		*out = (struct sequence_step){ pg_int(r, 0, 1), pg_int(r, 0, 0) };
	pg_result_free(r);
	buf_free(&sql);
	buf_free(&literal);
	return ok || err_wrap(e, "look at sequence %s", s->target_sequence);
}

bool sequence_advance(struct pg *source, struct pg *target, const struct sequence_plan *s,
		      uint64_t headroom, struct err *e)
{
	struct buf sql = BUF_INIT, literal = BUF_INIT;

	buf_literal(&literal, s->target_sequence);
	buf_printf(&sql, "SELECT setval(%s::regclass, next) FROM (", literal.data);
	bool ok = put_next(source, s, headroom, literal.data, &sql, e);
	buf_puts(&sql, ") n");
	ok = ok && pg_exec(target, sql.data, e);
	buf_free(&sql);
	buf_free(&literal);
	return ok || err_wrap(e, "advance sequence %s", s->target_sequence);
}
