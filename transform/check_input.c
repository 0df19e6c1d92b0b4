/*
 * The stream brings values as text, and each that does not go on in binary form (pg/wire.h)
 * must become a value as the type's own input function makes it, which is how COPY reads it. A
 * cast from text does the same unless somebody made one with a function of its own: then the
 * text goes by way of a type that has no such cast. A cast that changes nothing is as good as
 * the input where that is text's own, as citext's is.
 */
#include "transform/check.h"

#include "pg/conn.h"
#include "pg/wire.h"
#include "transform/sql_parts.h"

/*
 * Casts look at the type beneath a domain. PostgreSQL's own from text (to name, xml, ...) read
 * as the input does, but for one: that to regclass takes "-" and numbers for names.
 */
static const char way_sql[] =
    "WITH RECURSIVE base AS (SELECT oid, typtype, typbasetype FROM pg_type"
    "   WHERE oid = to_regtype($1)"
    "  UNION ALL SELECT t.oid, t.typtype, t.typbasetype FROM base b"
    "   JOIN pg_type t ON b.typtype = 'd' AND t.oid = b.typbasetype)"
    " SELECT w.way FROM (VALUES (1, 'text', ''), (2, 'varchar', '::varchar'),"
    "   (3, 'bpchar', '::bpchar')) w (no, name, way)"
    " WHERE NOT EXISTS (SELECT FROM pg_cast k JOIN base b ON b.oid = k.casttarget"
    "   WHERE b.typtype <> 'd' AND k.castsource = w.name::regtype AND k.castmethod <> 'i'"
    "   AND (k.oid >= 16384 OR k.casttarget = 'regclass'::regtype)"
    "   AND NOT (k.castmethod = 'b' AND EXISTS (SELECT FROM pg_type t JOIN pg_proc i"
    "    ON i.oid = t.typinput WHERE t.oid = b.oid AND i.prolang = 12 AND i.prosrc = 'textin')))"
    " ORDER BY w.no LIMIT 1";

static bool find_way(struct check *c, const struct flow *f, const struct catalog_column *s,
		     const char **way, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(c->target.pg, way_sql, 1, &s->bare_type, &r, e);

	if (ok && pg_rows(r))
		*way = arena_strdup(c->arena, pg_text(r, 0, 0));
	else if (ok)
		check_fail(c, f->subject,
			   "column %s has type %s, to which the target has casts from text, "
			   "varchar and bpchar, so that none is left for the type's own input; "
			   "drop one of them, or make it WITH INOUT",
			   s->name, s->bare_type);
	pg_result_free(r);
	return ok;
}

bool check_input(struct check *c, struct flow *f, struct err *e)
{
	const char **ways = arena_array(c->arena, f->from->ncolumns, sizeof *ways);

	f->ways = ways;
	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		const struct catalog_column *s = &f->from->columns[i];
		ways[i] = "";
		if (f->query->reads[i] && wire_of_type(s->type_oid) == WIRE_TEXT &&
		    !find_way(c, f, s, &ways[i], e))
			return false;
	}
	return true;
}
