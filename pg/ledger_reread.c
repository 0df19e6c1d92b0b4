#include "pg/ledger.h"
#include "pg/quote.h"

bool ledger_add_reread(struct pg *target, const char *migration, const struct ledger_reread *r,
		       struct err *e)
{
	char lg[LSN_TEXT], commit[LSN_TEXT];
	struct buf key = BUF_INIT;

	buf_text_array(&key, r->key, r->nkey);
	const char *params[] = { migration, r->relation, key.data, lsn_format(r->lg, lg),
				 lsn_format(r->commit_lsn, commit) };
	bool ok = pg_query(target,
			   "INSERT INTO pgcrossfade.reread (migration, relation, key, lg, "
			   "commit_lsn) VALUES ($1, $2, $3::text[], $4::pg_lsn, $5::pg_lsn)",
			   5, params, NULL, e);
	buf_free(&key);
	return ok || err_wrap(e, "write a key of %s", r->relation);
}

bool ledger_drop_rereads(struct pg *target, const char *migration, lsn_t applied, struct err *e)
{
	char lsn[LSN_TEXT];
	const char *params[] = { migration, lsn_format(applied, lsn) };

	return pg_query(target,
			"DELETE FROM pgcrossfade.reread WHERE migration = $1 "
			"AND commit_lsn > $2::pg_lsn",
			2, params, NULL, e) ||
	       err_wrap(e, "drop keys read again");
}

/* One row an element of a key: the server takes the arrays apart. */
static const char load_sql[] =
    "SELECT cardinality(r.key), k.part, r.lg, r.commit_lsn FROM pgcrossfade.reread r,"
    " unnest(r.key) WITH ORDINALITY AS k(part, place)"
    " WHERE r.migration = $1 AND r.relation = $2 ORDER BY r.lg, r.key, r.ctid, k.place";

bool ledger_rereads(struct pg *target, const char *migration, const char *relation, struct arena *a,
		    struct ledger_reread **out, unsigned *count, struct err *e)
{
	const char *params[] = { migration, relation };
	struct pg_result *r = NULL;

	if (!pg_query(target, load_sql, 2, params, &r, e))
		return err_wrap(e, "read keys of %s", relation);
	*out = arena_array(a, pg_rows(r) + 1, sizeof **out);
	*count = 0;
	for (unsigned row = 0; row < pg_rows(r);) {
		struct ledger_reread *entry = &(*out)[(*count)++];
		entry->relation = arena_strdup(a, relation);
		entry->nkey = (unsigned)pg_int(r, row, 0);
		entry->key = arena_array(a, entry->nkey, sizeof *entry->key);
		entry->lg = pg_lsn(r, row, 2);
		entry->commit_lsn = pg_lsn(r, row, 3);
		for (unsigned i = 0; i < entry->nkey; i++)
			entry->key[i] = arena_strdup(a, pg_text(r, row++, 1));
	}
	pg_result_free(r);
	return true;
}
