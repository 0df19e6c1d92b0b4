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

/* $1: names; $2: what they publish. */
static const char differences_sql[] =
    "WITH want AS (SELECT name, string_to_array(list, ', ') AS kinds"
    "  FROM unnest($1::text[], $2::text[]) w (name, list)) "
    "SELECT string_agg(what, '; ') FROM ("
    "SELECT name || CASE WHEN p.oid IS NULL THEN ' was dropped' "
    "ELSE ' publishes other things than it did' END AS what "
    "FROM want LEFT JOIN pg_publication p ON pubname = name "
    "WHERE ('insert' = ANY (kinds), 'update' = ANY (kinds), 'delete' = ANY (kinds),"
    " 'truncate' = ANY (kinds), false) IS DISTINCT FROM"
    " (pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot)";

/* From version 15 on. */
static const char filters_sql[] =
    " UNION ALL SELECT name || ' has a row filter or a column list for ' "
    "|| prrelid::regclass FROM want JOIN pg_publication p ON pubname = name "
    "JOIN pg_publication_rel ON prpubid = p.oid WHERE prqual IS NOT NULL OR prattrs IS NOT NULL";

/* $1: names; $2: tables. The publications hold them by oid, whatever they are called by now. */
static const char lacks_sql[] =
    "SELECT string_agg(t.name, ', ') FROM unnest($2::text[]) AS t (name) WHERE NOT EXISTS ("
    "SELECT FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid "
    "WHERE r.prrelid = to_regclass(t.name) AND p.pubname = ANY ($1::text[]))";

static bool ask(struct pg *source, const char *sql, const char *const *params, struct arena *a,
		const char **out, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(source, sql, 2, params, &r, e);

	*out = ok && pg_value(r, 0, 0) ? arena_strdup(a, pg_text(r, 0, 0)) : NULL;
	pg_result_free(r);
	return ok;
}

bool publication_differences(struct pg *source, const struct publication two[2], struct arena *a,
			     const char **out, struct err *e)
{
	const char *names[2], *publish[2];
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++) {
		if (two[i].ntables == 0)
			continue;
		names[n] = two[i].name;
		publish[n++] = two[i].publish;
	}
	const char *params[] = { arena_text_array(a, names, n), arena_text_array(a, publish, n) };
	const char *sql = arena_printf(a, "%s%s) AS differences", differences_sql,
				       pg_server_version(source) >= 150000 ? filters_sql : "");

	return ask(source, sql, params, a, out, e) || err_wrap(e, "look at the publications");
}

bool publication_lacks(struct pg *source, const struct publication two[2], struct arena *a,
		       const char **out, struct err *e)
{
	const char *names[] = { two[0].name, two[1].name };
	const char **tables = arena_array(a, two[0].ntables + two[1].ntables, sizeof *tables);
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k < two[i].ntables; k++)
			tables[n++] = two[i].tables[k];
	const char *params[] = { arena_text_array(a, names, 2), arena_text_array(a, tables, n) };

	return ask(source, lacks_sql, params, a, out, e) || err_wrap(e, "look at the old tables");
}
