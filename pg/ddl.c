#include "pg/ddl.h"

#include "pg/quote.h"

static void put_alter(struct buf *sql, const char *schema, const char *name, const char *what,
		      const char *to)
{
	buf_puts(sql, sql->len ? "; ALTER TABLE " : "ALTER TABLE ");
	buf_qualified(sql, schema, name);
	buf_puts(sql, what);
	buf_ident(sql, to);
}

static void put_rename(struct buf *sql, const struct ddl_rename *r)
{
	bool moves = strcmp(r->schema, r->to_schema) != 0;
	bool renames = strcmp(r->name, r->to_name) != 0;
	/* either name may be another table's in the schema where it is not wanted */
	const char *between = moves && renames ? "pgcrossfade_rename" : r->name;

	if (moves && renames)
		put_alter(sql, r->schema, r->name, " RENAME TO ", between);
	if (moves)
		put_alter(sql, r->schema, between, " SET SCHEMA ", r->to_schema);
	if (renames)
		put_alter(sql, r->to_schema, between, " RENAME TO ", r->to_name);
}

const char *ddl_rename_sql(const struct ddl_rename *r, struct arena *a)
{
	struct buf sql = BUF_INIT;

	put_rename(&sql, r);
	const char *text = arena_strdup(a, buf_str(&sql));
	buf_free(&sql);
	return text;
}

bool ddl_rename(struct pg *pg, const struct ddl_rename *r, struct err *e)
{
	struct buf sql = BUF_INIT;

	put_rename(&sql, r);
	bool ok = sql.len == 0 || pg_exec(pg, sql.data, e);
	buf_free(&sql);
	return ok ||
	       err_wrap(e, "rename %s.%s to %s.%s", r->schema, r->name, r->to_schema, r->to_name);
}

bool ddl_role_search_path(struct pg *pg, const char *role, const char *const *path, unsigned n,
			  struct err *e)
{
	struct pg_result *r = NULL;
	struct buf sql = BUF_INIT;
	bool ok = pg_query_row(pg, "SELECT current_database()", 0, NULL, &r, e);

	if (ok) {
		buf_puts(&sql, "ALTER ROLE ");
		buf_ident(&sql, role);
		buf_puts(&sql, " IN DATABASE ");
		buf_ident(&sql, pg_text(r, 0, 0));
		buf_puts(&sql, " SET search_path = ");
	}
	for (unsigned i = 0; ok && i < n; i++) {
		buf_puts(&sql, i ? ", " : "");
		buf_ident(&sql, path[i]);
	}
	ok = ok && pg_exec(pg, sql.data, e);
	pg_result_free(r);
	buf_free(&sql);
	return ok || err_wrap(e, "set search_path of role %s", role);
}

bool ddl_is_empty(struct pg *pg, const char *quoted, bool *empty, struct err *e)
{
	struct pg_result *r = NULL;
	struct buf sql = BUF_INIT;

	buf_printf(&sql, "SELECT NOT EXISTS (SELECT FROM %s)", quoted);
	bool ok = pg_query_row(pg, sql.data, 0, NULL, &r, e);
	*empty = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	buf_free(&sql);
	return ok || err_wrap(e, "look into %s", quoted);
}

/* TRUNCATE is refused where another table refers to this one; DELETE is not. */
bool ddl_truncate(struct pg *pg, const char *quoted, struct err *e)
{
	struct err refused = ERR_INIT;

	return (pg_exec(pg, "SAVEPOINT emptied", e) &&
		(pg_execf(pg, &refused, "TRUNCATE %s", quoted) ||
		 (pg_exec(pg, "ROLLBACK TO SAVEPOINT emptied", e) &&
		  pg_execf(pg, e, "DELETE FROM %s", quoted))) &&
		pg_exec(pg, "RELEASE SAVEPOINT emptied", e)) ||
	       err_wrap(e, "empty %s", quoted);
}

bool ddl_analyze(struct pg *pg, const char *quoted, struct err *e)
{
	return pg_execf(pg, e, "ANALYZE %s", quoted) || err_wrap(e, "analyze %s", quoted);
}
