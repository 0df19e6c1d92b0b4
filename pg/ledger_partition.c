#include "pg/ledger.h"

bool ledger_add_partition(struct pg *target, const char *migration,
			  const struct ledger_partition *p, struct err *e)
{
	const char *params[] = { migration, p->relation, p->oid, p->name, p->attached };

	return pg_query(target,
			"INSERT INTO pgcrossfade.partition (migration, relation, oid, name, "
			"attached) VALUES ($1, $2, $3::oid, $4, $5)",
			5, params, NULL, e) ||
	       err_wrap(e, "write partition %s of %s", p->name, p->relation);
}

bool ledger_partitions(struct pg *target, const char *migration, struct arena *a,
		       struct ledger_partition **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target,
		      "SELECT relation, oid, name, attached FROM pgcrossfade.partition "
		      "WHERE migration = $1",
		      1, &migration, &r, e))
		return err_wrap(e, "read partitions");
	*count = pg_rows(r);
	*out = arena_array(a, *count + 1, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct ledger_partition){
			.relation = arena_strdup(a, pg_text(r, i, 0)),
			.oid = arena_strdup(a, pg_text(r, i, 1)),
			.name = arena_strdup(a, pg_text(r, i, 2)),
			.attached = arena_strdup(a, pg_text(r, i, 3)),
		};
	pg_result_free(r);
	return true;
}

bool ledger_drop_partitions(struct pg *target, const char *migration, struct err *e)
{
	return pg_query(target, "DELETE FROM pgcrossfade.partition WHERE migration = $1", 1,
			&migration, NULL, e) ||
	       err_wrap(e, "drop partitions");
}
