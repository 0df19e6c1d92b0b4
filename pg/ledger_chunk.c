#include "pg/ledger.h"
#include "pg/ledger_reject.h"
#include "pg/quote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool ledger_add_chunk(struct pg *target, const char *migration, const char *relation,
		      const struct ledger_chunk *c, struct err *e)
{
	struct buf lo = BUF_INIT, hi = BUF_INIT;
	char no[16];

	snprintf(no, sizeof no, "%u", c->no);
	if (c->lo)
		buf_text_array(&lo, c->lo, c->nbounds);
	if (c->hi)
		buf_text_array(&hi, c->hi, c->nbounds);
	const char *params[] = { migration, relation, no, c->lo ? lo.data : NULL,
				 c->hi ? hi.data : NULL };
	bool ok = pg_query(target,
			   "INSERT INTO pgcrossfade.chunk (migration, relation, no, lo, hi) "
			   "VALUES ($1, $2, $3::int, $4::text[], $5::text[])",
			   5, params, NULL, e);
	buf_free(&lo);
	buf_free(&hi);
	return ok || err_wrap(e, "write chunk %u of %s", c->no, relation);
}

/* columns first .. first + n - 1 of a row hold the bound; all NULL: open */
static const char **read_bound(struct arena *a, const struct pg_result *r, unsigned row,
			       unsigned first, unsigned n)
{
	if (!n || !pg_value(r, row, first))
		return NULL;
	const char **bound = arena_array(a, n, sizeof *bound);
	for (unsigned i = 0; i < n; i++)
		bound[i] = arena_strdup(a, pg_text(r, row, first + i));
	return bound;
}

/* Bounds are read element by element, so that the server takes the array apart. */
static void chunks_sql(struct buf *sql, unsigned nbounds)
{
	buf_puts(sql, "SELECT c.no, d.lg");
	for (unsigned i = 1; i <= nbounds; i++)
		buf_printf(sql, ", c.lo[%u]", i);
	for (unsigned i = 1; i <= nbounds; i++)
		buf_printf(sql, ", c.hi[%u]", i);
	buf_puts(sql, " FROM pgcrossfade.chunk c LEFT JOIN pgcrossfade.chunk_copied d "
		      "USING (migration, relation, no) WHERE migration = $1 AND relation = $2 "
		      "ORDER BY c.no");
}

static bool bound_count(struct pg *target, const char *const *params, unsigned *n, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok =
	    pg_query_row(target,
			 "SELECT coalesce(max(greatest(cardinality(lo), cardinality(hi))), 0) "
			 "FROM pgcrossfade.chunk WHERE migration = $1 AND relation = $2",
			 2, params, &r, e);

	*n = ok ? (unsigned)pg_int(r, 0, 0) : 0;
	pg_result_free(r);
	return ok;
}

bool ledger_chunks(struct pg *target, const char *migration, const char *relation, struct arena *a,
		   struct ledger_chunk **out, unsigned *count, struct err *e)
{
	const char *params[] = { migration, relation };
	struct pg_result *r = NULL;
	struct buf sql = BUF_INIT;
	unsigned n;

	if (!bound_count(target, params, &n, e))
		return err_wrap(e, "read chunks of %s", relation);
	chunks_sql(&sql, n);
	bool ok = pg_query(target, sql.data, 2, params, &r, e);
	buf_free(&sql);
	if (!ok)
		return err_wrap(e, "read chunks of %s", relation);
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++) {
		struct ledger_chunk *c = &(*out)[i];
		c->no = (unsigned)pg_int(r, i, 0);
		c->copied = pg_value(r, i, 1) != NULL;
		c->lg = pg_lsn(r, i, 1);
		c->nbounds = n;
		c->lo = read_bound(a, r, i, 2, n);
		c->hi = read_bound(a, r, i, 2 + n, n);
	}
	pg_result_free(r);
	return true;
}

bool ledger_chunk_begin(struct pg *target, const char *migration, const char *relation, unsigned no,
			lsn_t lg, struct err *e)
{
	char number[16], lsn[LSN_TEXT];
	const char *params[] = { migration, relation, number, lsn_format(lg, lsn) };

	snprintf(number, sizeof number, "%u", no);
	if (pg_query(target,
		     "INSERT INTO pgcrossfade.chunk_copied (migration, relation, no, lg) "
		     "VALUES ($1, $2, $3::int, $4::pg_lsn)",
		     4, params, NULL, e))
		return true;
	if (strcmp(e->sqlstate, "23505") == 0) /* copied by a backend that outlived its run */
		e->kind = ERR_RETRY;
	return err_wrap(e, "claim chunk %u of %s", no, relation);
}

bool ledger_chunk_done(struct pg *target, const char *migration, const char *relation, unsigned no,
		       uint64_t rows, uint64_t bytes, struct err *e)
{
	char number[16], nrows[24], nbytes[24];
	const char *params[] = { migration, relation, number, nrows, nbytes };

	snprintf(number, sizeof number, "%u", no);
	snprintf(nrows, sizeof nrows, "%" PRIu64, rows);
	snprintf(nbytes, sizeof nbytes, "%" PRIu64, bytes);
	return pg_query(
		   target,
		   "UPDATE pgcrossfade.chunk_copied SET rows = $4::bigint, bytes = $5::bigint, "
		   "copied_at = clock_timestamp() "
		   "WHERE migration = $1 AND relation = $2 AND no = $3::int",
		   5, params, NULL, e) ||
	       err_wrap(e, "write chunk %u of %s", no, relation);
}

bool ledger_drop_chunks(struct pg *target, const char *migration, const char *relation,
			struct err *e)
{
	const char *params[] = { migration, relation };

	return (pg_query(target,
			 "DELETE FROM pgcrossfade.chunk_copied "
			 "WHERE migration = $1 AND relation = $2",
			 2, params, NULL, e) &&
		pg_query(target,
			 "DELETE FROM pgcrossfade.chunk WHERE migration = $1 AND relation = $2", 2,
			 params, NULL, e) &&
		ledger_rejects_clear(target, migration, relation, NULL, e)) ||
	       err_wrap(e, "drop chunks of %s", relation);
}
