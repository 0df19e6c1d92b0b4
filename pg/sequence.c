#include "pg/sequence.h"

#include "pg/quote.h"

#include <inttypes.h>
#include <stdio.h>

/* In order: literal of the sequence, old sequence's value or NULL, twice, the sequence,
 * headroom, its literal, the column twice, the table. */
static const char advance_sql[] =
    "SELECT setval(%s::regclass, CASE WHEN q.seqincrement > 0"
    "   THEN least(q.seqmax, greatest(s.last_value, greatest(v.highest, %s) + q.step))"
    "   ELSE greatest(q.seqmin, least(s.last_value, least(v.lowest, %s) + q.step)) END::bigint)"
    "  FROM %s s,"
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

bool sequence_advance(struct pg *source, struct pg *target, const struct sequence_plan *s,
		      uint64_t headroom, struct err *e)
{
	struct buf sql = BUF_INIT, literal = BUF_INIT;
	char old[32];
	bool ok = old_value(source, s->source_sequence, old, e);

	buf_literal(&literal, s->target_sequence);
	if (ok)
		buf_printf(&sql, advance_sql, literal.data, old, old, s->target_sequence, headroom,
			   literal.data, s->target_column, s->target_column, s->target_table);
	ok = ok && pg_exec(target, sql.data, e);
	buf_free(&sql);
	buf_free(&literal);
	return ok || err_wrap(e, "advance sequence %s", s->target_sequence);
}
