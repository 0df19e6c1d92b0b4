#include "pg/publication.h"

#include "pg/quote.h"

static void put_tables(struct buf *sql, const struct publication *p)
{
	for (unsigned i = 0; i < p->ntables; i++)
		buf_printf(sql, "%s ONLY %s", i ? "," : "", p->tables[i]);
}

static bool publication_exists(struct pg *source, const char *name, bool *exists, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok =
	    pg_query(source, "SELECT FROM pg_publication WHERE pubname = $1", 1, &name, &r, e);

	*exists = ok && pg_rows(r);
	pg_result_free(r);
	return ok;
}

static void set_sql(struct buf *sql, const struct publication *p, bool exists)
{
	struct buf name = BUF_INIT;

	buf_ident(&name, p->name);
	buf_printf(sql, "%s PUBLICATION %s %s", exists ? "ALTER" : "CREATE", name.data,
		   exists ? "SET TABLE" : "FOR TABLE");
	put_tables(sql, p);
	if (exists)
		buf_printf(sql, "; ALTER PUBLICATION %s SET", name.data);
	else
		buf_puts(sql, " WITH");
	buf_printf(sql, " (publish = '%s', publish_via_partition_root = false)", p->publish);
	buf_free(&name);
}

const char *publication_sql(const struct publication *p, struct arena *a)
{
	struct buf sql = BUF_INIT;

	if (p->ntables == 0)
		return NULL;
	set_sql(&sql, p, false);
	const char *text = arena_strdup(a, sql.data);
	buf_free(&sql);
	return text;
}

bool publication_set(struct pg *source, const struct publication *p, struct err *e)
{
	struct buf sql = BUF_INIT;
	bool exists;

	if (p->ntables == 0)
		return publication_drop(source, p->name, e);
	bool ok = publication_exists(source, p->name, &exists, e);
	if (ok)
		set_sql(&sql, p, exists);
	ok = ok && pg_exec(source, sql.data, e);
	buf_free(&sql);
	return ok || err_wrap(e, "publication %s", p->name);
}

bool publication_drop(struct pg *source, const char *name, struct err *e)
{
	struct buf sql = BUF_INIT;

	buf_puts(&sql, "DROP PUBLICATION IF EXISTS ");
	buf_ident(&sql, name);
	bool ok = pg_exec(source, sql.data, e);
	buf_free(&sql);
	return ok || err_wrap(e, "drop publication %s", name);
}
