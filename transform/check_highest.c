/*
 * Under the cutover's lock the highest and lowest value of a column is looked for, so that its
 * sequence goes on past them. An index answers at once; without one the whole new table is read
 * while writes wait, which max_pause ends.
 */
#include "transform/check.h"

#include "pg/conn.h"
#include "pg/quote.h"

/* An index that gives both ends: of all rows, beginning with the column. */
static const char indexed_sql[] =
    "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    " JOIN pg_am m ON m.oid = x.relam JOIN pg_attribute a ON a.attrelid = i.indrelid"
    "  AND a.attnum = i.indkey[0]"
    " WHERE i.indrelid = to_regclass($1) AND '\"' || replace(a.attname, '\"', '\"\"') || '\"' = $2 AND i.indisvalid"
    " AND i.indpred IS NULL AND m.amname = 'btree')";

static const char size_sql[] =
    "SELECT pg_size_pretty(coalesce(sum(pg_table_size(p)), 0)) FROM"
    " (SELECT t::regclass AS p FROM unnest($1::text[]) t"
    "  UNION SELECT relid FROM unnest($1::text[]) t, pg_partition_tree(t::regclass)"
    "  WHERE isleaf) s";

/* The old tables whose rows come into the new one. */
static const char *old_tables(struct check *c, const struct plan *plan, const char *target)
{
	const char **names = arena_array(c->arena, plan->ntables, sizeof *names);
	unsigned count = 0;

	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].nflows; k++)
			if (strcmp(plan->tables[i].flows[k].target, target) == 0 &&
			    (count == 0 || names[count - 1] != plan->tables[i].quoted))
				names[count++] = plan->tables[i].quoted;
	return arena_text_array(c->arena, names, count);
}

static bool warn_of_scan(struct check *c, const struct plan *plan, const struct sequence_plan *s,
			 struct err *e)
{
	const char *tables = old_tables(c, plan, s->target_table);
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->source.pg, size_sql, 1, &tables, &r, e);

	if (ok)
		check_warn(c, c->target.subject,
			   "column %s of %s feeds from a sequence and no index begins with it, so "
			   "the cutover reads the whole table (%s at the source) for its highest "
			   "value while writes wait, and gives up after max_pause; CREATE INDEX ON "
			   "%s (%s), at the latest before the cutover",
			   s->target_column, s->target_table, pg_text(r, 0, 0), s->target_table,
			   s->target_column);
	pg_result_free(r);
	return ok;
}

bool check_highest(struct check *c, const struct plan *plan, struct err *e)
{
	/* while the copy goes on the indexes are away */
	for (unsigned i = 0; !c->started && i < plan->nsequences; i++) {
		const struct sequence_plan *s = &plan->sequences[i];
		const char *params[] = { s->target_table, s->target_column };
		struct pg_result *r = NULL;
		bool ok = pg_query_row(c->target.pg, indexed_sql, 2, params, &r, e);
		bool indexed = ok && pg_bool(r, 0, 0);
		pg_result_free(r);
		if (!ok || (!indexed && !warn_of_scan(c, plan, s, e)))
			return err_wrap(e, "sequence %s", s->target_sequence);
	}
	return true;
}
