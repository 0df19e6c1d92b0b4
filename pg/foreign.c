#include "pg/foreign.h"

/*
 * A partition's share of its table's foreign key says nothing more. PERIOD is new in 18, and not
 * told by equality.
 */
static const char missing_sql[] =
    "SELECT string_agg(format('(%s AND NOT EXISTS (SELECT FROM %s AS parent WHERE %s))', k.given, "
    "c.confrelid::regclass, k.same), ' OR ') FROM pg_constraint c CROSS JOIN LATERAL ("
    "SELECT string_agg(format('%s.%I IS NOT NULL', $2::text, child.attname), ' AND ') AS given, "
    "string_agg(format('parent.%I OPERATOR(%I.%s) %s.%I', parent.attname, n.nspname, o.oprname, "
    "$2::text, child.attname), ' AND ') AS same "
    "FROM unnest(c.conkey, c.confkey, c.conpfeqop) AS u(child, parent, op) "
    "JOIN pg_attribute child ON child.attrelid = c.conrelid AND child.attnum = u.child "
    "JOIN pg_attribute parent ON parent.attrelid = c.confrelid AND parent.attnum = u.parent "
    "JOIN pg_operator o ON o.oid = u.op JOIN pg_namespace n ON n.oid = o.oprnamespace) k "
    "WHERE c.contype = 'f' AND c.conrelid = $1::regclass AND c.conparentid = 0 "
    "AND c.convalidated AND to_jsonb(c)->>'conperiod' IS DISTINCT FROM 'true'";

bool foreign_missing(struct pg *pg, const char *table, const char *alias, struct arena *a,
		     const char **out, struct err *e)
{
	const char *params[] = { table, alias };
	struct pg_result *r = NULL;

	*out = NULL;
	if (!pg_query_row(pg, missing_sql, 2, params, &r, e))
		return err_wrap(e, "read the foreign keys of %s", table);
	const char *text = pg_value(r, 0, 0);
	if (text)
		*out = arena_strdup(a, text);
	pg_result_free(r);
	return true;
}
