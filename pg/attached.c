#include "pg/attached.h"

#include "pg/quote.h"
#include "pg/tree.h"

#include <string.h>

/* Where the table was written anew (another file than at first), its rows lost their numbers. */
static const char by_command[] =
    "SELECT EXISTS (SELECT FROM %s WHERE xmax <> 0"
    "  OR (cmin::text::bigint > %s AND cmin::text::bigint < %s))"
    " OR EXISTS (SELECT FROM " PG_TREE(
	"%s") " t JOIN pg_class c ON c.oid = relid"
	      "  WHERE relfilenode NOT IN (0, relid) AND pg_relation_size(relid) > 0)";

static const char by_size[] =
    "SELECT EXISTS (SELECT FROM " PG_TREE("%s") " t WHERE pg_relation_size(relid) > 0)";

static void put_question(struct buf *sql, const struct attached *t)
{
	struct buf name = BUF_INIT;

	buf_literal(&name, t->name);
	if (t->made)
		buf_printf(sql, by_command, t->name, t->made, t->attached, name.data);
	else
		buf_printf(sql, by_size, name.data);
	buf_free(&name);
}

static bool ask(struct pg *source, const char *sql, enum brought *out, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_begin(source, e) && pg_exec(source, "SET LOCAL lock_timeout = '100ms'", e) &&
		  pg_query_row(source, sql, 0, NULL, &r, e) && pg_commit(source, e);

	if (ok)
		*out = pg_bool(r, 0, 0) ? BROUGHT_ROWS : BROUGHT_NONE;
	else
		pg_rollback(source);
	pg_result_free(r);
	return ok;
}

bool attached_rows(struct pg *source, const struct attached *t, enum brought *out, struct err *e)
{
	struct buf sql = BUF_INIT;

	put_question(&sql, t);
	bool ok = ask(source, sql.data, out, e);
	buf_free(&sql);
	/* locked, or renamed since its name was read */
	if (!ok && (strcmp(e->sqlstate, "55P03") == 0 || strcmp(e->sqlstate, "42P01") == 0)) {
		*out = BROUGHT_UNTOLD;
		err_clear(e);
		return true;
	}
	return ok || err_wrap(e, "ask whether %s was attached with rows", t->name);
}
