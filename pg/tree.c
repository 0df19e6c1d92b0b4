#include "pg/tree.h"

static const char child_sql[] =
    "SELECT inhrelid::regclass, inhparent::regclass FROM pg_inherits "
    "JOIN pg_class p ON p.oid = inhparent AND p.relkind = 'r' "
    "WHERE inhparent = ANY (SELECT to_regclass(t)::oid FROM unnest($1::text[]) t) LIMIT 1";

bool tree_find_child(struct pg *source, const char *tables, struct arena *a,
		     struct tree_child **out, struct err *e)
{
	struct pg_result *r = NULL;

	*out = NULL;
	if (!pg_query(source, child_sql, 1, &tables, &r, e))
		return err_wrap(e, "look for children of the old tables");
	if (pg_rows(r)) {
		*out = arena_zalloc(a, sizeof **out);
		**out = (struct tree_child){ arena_strdup(a, pg_text(r, 0, 0)),
					     arena_strdup(a, pg_text(r, 0, 1)) };
	}
	pg_result_free(r);
	return true;
}
