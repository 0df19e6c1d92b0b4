#include "pg/freeze.h"

#include "pg/lock.h"
#include "pg/quote.h"

#include <inttypes.h>
#include <stdio.h>

static const char function_body[] =
    "BEGIN"
    "  IF current_setting('pgcrossfade.writer', true) = TG_ARGV[0] THEN"
    "    IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF;"
    "    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;"
    "    RETURN NEW;"
    "  END IF;"
    "  RAISE EXCEPTION 'table %.% is frozen: migration % has switched to the new schema',"
    "    TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]"
    "    USING ERRCODE = 'read_only_sql_transaction',"
    "          HINT = 'Write to the new tables.';"
    "END";

static void put_function(struct buf *b, const char *migration)
{
	struct buf name = BUF_INIT;

	buf_printf(&name, "freeze %s", migration);
	buf_qualified(b, "pgcrossfade", name.data);
	buf_puts(b, "()");
	buf_free(&name);
}

static const char other_sql[] =
    "WITH RECURSIVE tree AS ("
    "  SELECT to_regclass(t)::oid AS oid FROM unnest($1::text[]) t"
    "  UNION SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = tree.oid) "
    "SELECT tgrelid::regclass, substr(proname, length('freeze ') + 1) "
    "FROM tree JOIN pg_trigger ON tgrelid = tree.oid JOIN pg_proc p ON p.oid = tgfoid "
    "WHERE tgname IN ('pgcrossfade_freeze', 'pgcrossfade_freeze_row')"
    " AND pronamespace = to_regnamespace('pgcrossfade') AND proname <> 'freeze ' || $2 "
    "ORDER BY tgrelid LIMIT 1";

bool freeze_no_other(struct pg *source, const struct plan *plan, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	const char **names = arena_array(&scratch, plan->ntables, sizeof *names);
	struct pg_result *r = NULL;

	for (unsigned i = 0; i < plan->ntables; i++)
		names[i] = plan->tables[i].quoted;
	const char *params[] = { arena_text_array(&scratch, names, plan->ntables),
				 plan->migration };
	bool ok = pg_query(source, other_sql, 2, params, &r, e) ||
		  err_wrap(e, "look for the freeze of another migration");
	if (ok && pg_rows(r))
		ok = err_set(e, ERR_CONFIG,
			     "%s is frozen since the cutover of migration %s, so nothing is "
			     "written there any more, and it cannot be cut over a second time; "
			     "migrate from the new tables of %s instead",
			     pg_text(r, 0, 0), pg_text(r, 0, 1), pg_text(r, 0, 1));
	pg_result_free(r);
	arena_finish(&scratch);
	return ok;
}

bool freeze_prepare(struct pg *source, const char *migration, struct err *e)
{
	struct buf sql = BUF_INIT;

	buf_puts(&sql,
		 "CREATE SCHEMA IF NOT EXISTS pgcrossfade;"
		 "CREATE TABLE IF NOT EXISTS pgcrossfade.switched (migration text PRIMARY KEY,"
		 " write_pause_us bigint NOT NULL, switched_at timestamptz DEFAULT now());"
		 "GRANT USAGE ON SCHEMA pgcrossfade TO PUBLIC;"
		 "CREATE OR REPLACE FUNCTION ");
	put_function(&sql, migration);
	buf_puts(&sql, " RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS ");
	buf_literal(&sql, function_body);
	bool ok = pg_exec(source, sql.data, e);
	buf_free(&sql);
	return ok || err_wrap(e, "prepare the freeze at the source");
}

/* kind: a statement's trigger or a row's; events: what fires it. */
static void put_trigger(struct buf *sql, const char *migration, const char *table,
			const char *events, const char *kind)
{
	buf_printf(sql,
		   "CREATE TRIGGER pgcrossfade_freeze%s BEFORE %s ON %s FOR EACH %s EXECUTE "
		   "FUNCTION ",
		   *kind == 'R' ? "_row" : "", events, table, kind);
	put_function(sql, migration);
	sql->data[--sql->len] = '\0'; /* the argument goes into the parentheses */
	buf_literal(sql, migration);
	buf_puts(sql, "); ");
}

/* A statement on a partition fires its own triggers, not the partitioned table's. */
static void put_statement_trigger(struct buf *sql, const char *migration, const char *table)
{
	put_trigger(sql, migration, table, "INSERT OR UPDATE OR DELETE OR TRUNCATE", "STATEMENT");
}

/* A subscription's writes fire no other, and partitions have it, those to come as well. */
static void put_row_trigger(struct buf *sql, const char *migration, const char *table)
{
	put_trigger(sql, migration, table, "INSERT OR UPDATE OR DELETE", "ROW");
}

/* Not only for sessions that are no replica's. */
static void put_always(struct buf *sql, const char *table)
{
	buf_printf(sql,
		   "ALTER TABLE %s ENABLE ALWAYS TRIGGER pgcrossfade_freeze, "
		   "ENABLE ALWAYS TRIGGER pgcrossfade_freeze_row; ",
		   table);
}

/* parts: one a row. All triggers first: ALTER of a partitioned table may reach down. */
static void put_freeze(struct buf *sql, const char *migration, const char *table,
		       const struct pg_result *parts)
{
	put_statement_trigger(sql, migration, table);
	for (unsigned i = 0; i < pg_rows(parts); i++)
		put_statement_trigger(sql, migration, pg_text(parts, i, 0));
	put_row_trigger(sql, migration, table);
	put_always(sql, table);
	for (unsigned i = 0; i < pg_rows(parts); i++)
		put_always(sql, pg_text(parts, i, 0));
}

const char *freeze_table_sql(const char *migration, const char *table, struct arena *a)
{
	struct buf sql = BUF_INIT;

	put_statement_trigger(&sql, migration, table);
	put_row_trigger(&sql, migration, table);
	put_always(&sql, table);
	const char *text = arena_strndup(a, sql.data, sql.len - strlen("; "));
	buf_free(&sql);
	return text;
}

/* Writers wait: all the partitions in one message. */
bool freeze_table(struct pg *source, const char *migration, const char *table, struct err *e)
{
	struct buf sql = BUF_INIT;
	struct pg_result *r = NULL;
	bool ok = pg_query(source,
			   "SELECT relid::regclass FROM pg_partition_tree($1::regclass) "
			   "WHERE level > 0",
			   1, &table, &r, e);

	if (ok) {
		put_freeze(&sql, migration, table, r);
		ok = pg_exec(source, sql.data, e);
	}
	pg_result_free(r);
	buf_free(&sql);
	return ok || err_wrap(e, "freeze %s", table);
}

bool freeze_claim(struct pg *source, const char *migration, struct err *e)
{
	return pg_query(
		   source,
		   "SELECT pg_advisory_xact_lock(hashtext('pgcrossfade.switch'), hashtext($1))", 1,
		   &migration, NULL, e) ||
	       err_wrap(e, "claim the switch");
}

bool freeze_mark(struct pg *source, const char *migration, int64_t write_pause_us, struct err *e)
{
	char pause[24];
	const char *params[] = { migration, pause };

	snprintf(pause, sizeof pause, "%" PRId64, write_pause_us);
	return pg_query(source,
			"INSERT INTO pgcrossfade.switched (migration, write_pause_us) "
			"VALUES ($1, $2::bigint)",
			2, params, NULL, e) ||
	       err_wrap(e, "mark the switch");
}

static bool has_table(struct pg *source, const char *name, bool *exists, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(source, "SELECT to_regclass($1) IS NOT NULL", 1, &name, &r, e);

	*exists = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

bool freeze_marked(struct pg *source, const char *migration, bool *marked, int64_t *write_pause_us,
		   struct err *e)
{
	struct pg_result *r = NULL;
	bool exists;

	*marked = false;
	if (!has_table(source, "pgcrossfade.switched", &exists, e))
		return false;
	if (!exists)
		return true;
	bool ok = pg_begin(source, e) && freeze_claim(source, migration, e) &&
		  pg_query(source,
			   "SELECT write_pause_us FROM pgcrossfade.switched WHERE migration = $1",
			   1, &migration, &r, e) &&
		  pg_commit(source, e);
	if (!ok)
		pg_rollback(source);
	*marked = ok && pg_rows(r);
	if (*marked)
		*write_pause_us = pg_int(r, 0, 0);
	pg_result_free(r);
	return ok || err_wrap(e, "see whether the switch happened");
}

/*
 * A partition that was detached since is somebody's table: its row trigger, which it had of the
 * partitioned one, is gone. An earlier version made none of these.
 */
static bool find_frozen(struct pg *source, const char *migration, struct arena *a,
			struct lock_tables *out, struct err *e)
{
	struct buf function = BUF_INIT;
	struct pg_result *r = NULL;

	put_function(&function, migration);
	bool ok =
	    pg_query(source,
		     "WITH t AS (SELECT tgrelid, tgtype & 1 = 1 AS row, tgparentid FROM pg_trigger "
		     "WHERE tgfoid = to_regprocedure($1)) "
		     "SELECT DISTINCT tgrelid::regclass::text FROM t "
		     "WHERE (t.row AND tgparentid = 0) OR NOT EXISTS (SELECT FROM t x WHERE x.row)",
		     1, (const char *const *)&function.data, &r, e);

	*out = (struct lock_tables){ .from_readers = true };
	const char **names = arena_array(a, ok ? pg_rows(r) : 0, sizeof *names);
	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		names[out->count++] = arena_strdup(a, pg_text(r, i, 0));
	out->names = names;
	pg_result_free(r);
	buf_free(&function);
	return ok;
}

/* All in one statement, so that references among them do not matter. */
static bool drop_frozen(struct pg *source, const struct lock_tables *tables, struct err *e)
{
	struct buf sql = BUF_INIT;

	for (unsigned i = 0; i < tables->count; i++)
		buf_printf(&sql, "%s%s", i ? ", " : "DROP TABLE ", tables->names[i]);
	bool ok = !tables->count || pg_exec(source, sql.data, e);
	buf_free(&sql);
	return ok;
}

bool freeze_drop_tables(struct pg *source, const char *migration, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct lock_tables tables;
	bool ok = find_frozen(source, migration, &scratch, &tables, e) &&
		  drop_frozen(source, &tables, e) && freeze_remove(source, migration, e);

	arena_finish(&scratch);
	return ok || err_wrap(e, "drop the old tables");
}

bool freeze_blockers(struct pg *source, const char *migration, struct arena *a, const char **out,
		     struct err *e)
{
	struct lock_tables tables;

	*out = "";
	return find_frozen(source, migration, a, &tables, e) &&
	       (!tables.count || lock_blockers(source, &tables, pg_backend_pid(source), a, out, e));
}

static const char drop_if_empty[] =
    "DO $$ BEGIN "
    "IF NOT EXISTS (SELECT FROM pgcrossfade.switched) AND NOT EXISTS "
    "  (SELECT FROM pg_proc WHERE pronamespace = 'pgcrossfade'::regnamespace) THEN "
    "  DROP TABLE pgcrossfade.switched; "
    "  IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'pgcrossfade'::regnamespace) "
    "  THEN DROP SCHEMA pgcrossfade; END IF; "
    "END IF; END $$";

bool freeze_remove(struct pg *source, const char *migration, struct err *e)
{
	struct buf sql = BUF_INIT;
	bool exists;

	if (!has_table(source, "pgcrossfade.switched", &exists, e))
		return err_wrap(e, "remove the freeze");
	if (!exists)
		return true;
	buf_puts(&sql, "DROP FUNCTION IF EXISTS ");
	put_function(&sql, migration);
	buf_puts(&sql, " CASCADE");
	bool ok = pg_begin(source, e) &&
		  pg_query(source, "DELETE FROM pgcrossfade.switched WHERE migration = $1", 1,
			   &migration, NULL, e) &&
		  pg_exec(source, sql.data, e) && pg_exec(source, drop_if_empty, e) &&
		  pg_commit(source, e);
	buf_free(&sql);
	if (!ok)
		pg_rollback(source);
	return ok || err_wrap(e, "remove the freeze");
}
