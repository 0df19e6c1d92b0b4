#include "pg/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool ledger_add_definition(struct pg *target, const char *migration,
			   const struct ledger_definition *d, struct err *e)
{
	const char *params[] = { migration, d->table, d->name, d->kind, d->create, d->drop };

	return pg_query(target,
			"INSERT INTO pgcrossfade.definition "
			"(migration, table_name, name, kind, create_sql, drop_sql) "
			"VALUES ($1, $2, $3, $4, $5, $6)",
			6, params, NULL, e) ||
	       err_wrap(e, "save the definition of %s on %s", d->name, d->table);
}

bool ledger_definitions(struct pg *target, const char *migration, struct arena *a,
			struct ledger_definition **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target,
		      "SELECT table_name, name, kind, create_sql, drop_sql "
		      "FROM pgcrossfade.definition WHERE migration = $1 ORDER BY id",
		      1, &migration, &r, e))
		return err_wrap(e, "read saved definitions");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct ledger_definition){
			.table = arena_strdup(a, pg_text(r, i, 0)),
			.name = arena_strdup(a, pg_text(r, i, 1)),
			.kind = arena_strdup(a, pg_text(r, i, 2)),
			.create = arena_strdup(a, pg_text(r, i, 3)),
			.drop = arena_strdup(a, pg_text(r, i, 4)),
		};
	pg_result_free(r);
	return true;
}

bool ledger_drop_definition(struct pg *target, const char *migration,
			    const struct ledger_definition *d, struct err *e)
{
	const char *params[] = { migration, d->table, d->name, d->kind };

	return pg_query(target,
			"DELETE FROM pgcrossfade.definition WHERE migration = $1 "
			"AND table_name = $2 AND name = $3 AND kind = $4",
			4, params, NULL, e) ||
	       err_wrap(e, "forget the definition of %s on %s", d->name, d->table);
}

bool ledger_key_away(struct pg *target, uint32_t table_oid, bool *away, struct err *e)
{
	char oid[16];
	const char *params[] = { oid };
	struct pg_result *r = NULL;
	bool exists;

	*away = false;
	if (!ledger_exists(target, &exists, e))
		return false;
	if (!exists)
		return true;
	snprintf(oid, sizeof oid, "%" PRIu32, table_oid);
	bool ok = pg_query_row(target,
			       "SELECT EXISTS (SELECT FROM pgcrossfade.definition "
			       "WHERE kind = 'key' AND to_regclass(table_name) = $1::oid)",
			       1, params, &r, e);
	*away = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

bool ledger_is_away(const struct ledger_definition *d)
{
	return strcmp(d->kind, "settle") != 0 && strcmp(d->kind, "confirm") != 0;
}

bool ledger_count_definitions(struct pg *target, const char *migration, struct err *e)
{
	return pg_query(target,
			"UPDATE pgcrossfade.migration SET definitions = (SELECT count(*) "
			"FROM pgcrossfade.definition WHERE migration = $1 "
			"AND kind NOT IN ('settle', 'confirm')) "
			"WHERE name = $1",
			1, &migration, NULL, e) ||
	       err_wrap(e, "count saved definitions");
}
