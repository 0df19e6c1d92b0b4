#include "pg/ledger.h"

#include "core/buf.h"

#include <stdio.h>

static const char schema_sql[] =
    "CREATE SCHEMA IF NOT EXISTS pgcrossfade;"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.ledger (version int PRIMARY KEY);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.migration ("
    "  name text PRIMARY KEY, phase text NOT NULL, digest text NOT NULL,"
    "  source_system text NOT NULL, source_database text NOT NULL, source_timeline int NOT NULL,"
    "  slot_lsn pg_lsn,"
    "  error text, error_at timestamptz, definitions int, write_pause_us bigint,"
    "  created_at timestamptz NOT NULL DEFAULT now(), phase_since timestamptz NOT NULL DEFAULT now());"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.chunk ("
    "  migration text, relation text, no int, lo text[], hi text[],"
    "  PRIMARY KEY (migration, relation, no));"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.chunk_copied ("
    "  migration text, relation text, no int, lg pg_lsn NOT NULL, rows bigint, bytes bigint,"
    "  copied_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    "  PRIMARY KEY (migration, relation, no));"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.partition ("
    "  migration text, relation text, oid oid, name text NOT NULL, attached text NOT NULL,"
    "  PRIMARY KEY (migration, relation, oid));"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.reread ("
    "  migration text, relation text, key text[] NOT NULL, lg pg_lsn NOT NULL,"
    "  commit_lsn pg_lsn NOT NULL);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.progress ("
    "  migration text, direction text, part int, system text NOT NULL, slot text NOT NULL,"
    "  lsn pg_lsn NOT NULL, commit_time timestamptz, changes bigint NOT NULL DEFAULT 0,"
    "  transactions bigint NOT NULL DEFAULT 0, PRIMARY KEY (migration, direction, part))"
    "  WITH (fillfactor = 10);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.definition ("
    "  id bigserial, migration text, table_name text, name text, kind text NOT NULL,"
    "  create_sql text NOT NULL, drop_sql text NOT NULL,"
    "  PRIMARY KEY (migration, table_name, name, kind));"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.request ("
    "  id bigserial PRIMARY KEY, migration text NOT NULL, kind text NOT NULL,"
    "  argument text NOT NULL, state text NOT NULL DEFAULT 'waiting', message text,"
    "  requested_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.reject ("
    "  id bigserial PRIMARY KEY, migration text NOT NULL, flow int NOT NULL,"
    "  source text NOT NULL, target text NOT NULL, key_hash bigint NOT NULL, key jsonb NOT NULL,"
    "  lsn pg_lsn NOT NULL, sequence bigint, chunk bigint, sqlstate text NOT NULL,"
    "  error text NOT NULL, row jsonb NOT NULL, held jsonb, tries int NOT NULL DEFAULT 1,"
    "  rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(), tried_at timestamptz);"
    "CREATE INDEX IF NOT EXISTS reject_key ON pgcrossfade.reject (migration, flow, key_hash);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.service ("
    "  migration text PRIMARY KEY, host text, pid bigint, activity text, applied pg_lsn,"
    "  source pg_lsn, lag_seconds float8, queued_bytes bigint, change_rate float8,"
    "  bottleneck text, started_at timestamptz, beat_at timestamptz,"
    "  confirmed pg_lsn)"
    "  WITH (fillfactor = 10);";

static const char version_sql[] =
    "INSERT INTO pgcrossfade.ledger SELECT 1 WHERE NOT EXISTS (SELECT FROM pgcrossfade.ledger)";

bool ledger_exists(struct pg *target, bool *exists, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(target, "SELECT to_regclass('pgcrossfade.ledger') IS NOT NULL", 0,
			       NULL, &r, e);

	*exists = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

static bool check_version(struct pg *target, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok =
	    pg_query_row(target, "SELECT max(version) FROM pgcrossfade.ledger", 0, NULL, &r, e);

	if (ok && pg_int(r, 0, 0) != 1)
		ok = err_set(e, ERR_CONFIG,
			     "the ledger in schema pgcrossfade has version %s, this pgcrossfade "
			     "knows version 1; use the pgcrossfade that made it",
			     pg_text(r, 0, 0));
	pg_result_free(r);
	return ok;
}

bool ledger_create(struct pg *target, struct err *e)
{
	/* two runs may start at once: the lock makes the second wait for the first */
	bool ok =
	    pg_begin(target, e) &&
	    pg_exec(target, "SELECT pg_advisory_xact_lock(hashtext('pgcrossfade.ledger'))", e) &&
	    pg_exec(target, schema_sql, e) && pg_exec(target, version_sql, e) &&
	    check_version(target, e) && pg_commit(target, e);

	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "create ledger at the target");
}

bool ledger_lock(struct pg *target, const char *migration, bool *taken, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(
	    target, "SELECT pg_try_advisory_lock(hashtext('pgcrossfade.run'), hashtext($1))", 1,
	    &migration, &r, e);

	*taken = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

static const char *text_or_null(struct arena *a, const struct pg_result *r, unsigned column)
{
	const char *v = pg_value(r, 0, column);

	return v ? arena_strdup(a, v) : NULL;
}

static struct ledger_migration *read_migration(struct arena *a, const struct pg_result *r)
{
	struct ledger_migration *m = arena_zalloc(a, sizeof *m);

	m->name = text_or_null(a, r, 0);
	m->phase = text_or_null(a, r, 1);
	m->digest = text_or_null(a, r, 2);
	m->source_system = text_or_null(a, r, 3);
	m->source_database = text_or_null(a, r, 4);
	m->error = text_or_null(a, r, 5);
	m->slot_lsn = pg_lsn(r, 0, 6);
	m->write_pause_us = pg_value(r, 0, 7) ? pg_int(r, 0, 7) : -1;
	m->phase_since = text_or_null(a, r, 8);
	m->error_at = text_or_null(a, r, 9);
	m->definitions = (unsigned)pg_int(r, 0, 10);
	m->source_timeline = (int)pg_int(r, 0, 11);
	return m;
}

bool ledger_load(struct pg *target, const char *migration, struct arena *a,
		 struct ledger_migration **out, struct err *e)
{
	struct pg_result *r = NULL;
	bool exists;

	*out = NULL;
	if (!ledger_exists(target, &exists, e))
		return false;
	if (!exists)
		return true;
	if (!pg_query(
		target,
		"SELECT name, phase, digest, source_system, source_database, error, "
		"slot_lsn, write_pause_us, phase_since, error_at, definitions, source_timeline FROM pgcrossfade.migration "
		"WHERE name = $1",
		1, &migration, &r, e))
		return err_wrap(e, "read ledger");
	if (pg_rows(r))
		*out = read_migration(a, r);
	pg_result_free(r);
	return true;
}

bool ledger_insert(struct pg *target, const struct ledger_migration *m, struct err *e)
{
	char timeline[16];
	const char *params[] = { m->name,          m->phase,           m->digest,
				 m->source_system, m->source_database, timeline };

	snprintf(timeline, sizeof timeline, "%d", m->source_timeline);
	return pg_query(target,
			"INSERT INTO pgcrossfade.migration (name, phase, digest, source_system, "
			"source_database, source_timeline) VALUES ($1, $2, $3, $4, $5, $6::int)",
			6, params, NULL, e) ||
	       err_wrap(e, "write ledger");
}

static bool set_field(struct pg *target, const char *sql, const char *migration, const char *value,
		      struct err *e)
{
	const char *params[] = { migration, value };
	struct pg_result *r = NULL;
	bool ok = pg_query(target, sql, 2, params, &r, e);

	if (ok && pg_affected(r) != 1)
		ok =
		    err_set(e, ERR_CONFIG, "migration %s is not in the ledger any more", migration);
	pg_result_free(r);
	return ok || err_wrap(e, "write ledger");
}

bool ledger_set_phase(struct pg *target, const char *migration, const char *phase, struct err *e)
{
	return set_field(target,
			 "UPDATE pgcrossfade.migration SET phase = $2, phase_since = now() "
			 "WHERE name = $1",
			 migration, phase, e);
}

bool ledger_set_slot_lsn(struct pg *target, const char *migration, lsn_t lsn, struct err *e)
{
	char text[LSN_TEXT];

	return set_field(target,
			 "UPDATE pgcrossfade.migration SET slot_lsn = $2::pg_lsn WHERE name = $1",
			 migration, lsn_format(lsn, text), e);
}

bool ledger_set_write_pause(struct pg *target, const char *migration, int64_t us, struct err *e)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)us);
	return set_field(
	    target, "UPDATE pgcrossfade.migration SET write_pause_us = $2::bigint WHERE name = $1",
	    migration, text, e);
}

bool ledger_set_error(struct pg *target, const char *migration, const char *error, struct err *e)
{
	return set_field(
	    target,
	    "UPDATE pgcrossfade.migration SET error = $2::text, error_at = CASE WHEN $2::text IS NOT NULL "
	    "THEN clock_timestamp() END WHERE name = $1",
	    migration, error, e);
}

static const char *const owned_tables[] = { "migration", "chunk",    "chunk_copied", "partition",
					    "reread",    "progress", "definition",   "request",
					    "reject",    "service" };

static bool forget_rows(struct pg *target, const char *migration, struct err *e)
{
	struct buf sql = BUF_INIT;
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof owned_tables / sizeof *owned_tables; i++) {
		buf_clear(&sql);
		buf_printf(&sql, "DELETE FROM pgcrossfade.%s WHERE %s = $1", owned_tables[i],
			   i == 0 ? "name" : "migration");
		ok = pg_query(target, buf_str(&sql), 1, &migration, NULL, e);
	}
	buf_free(&sql);
	return ok;
}

/* Frozen tables of another migration may rest on the schema: only what is ours goes. */
static const char drop_sql[] =
    "DO $$ DECLARE t text; BEGIN "
    "IF EXISTS (SELECT FROM pgcrossfade.migration) THEN RETURN; END IF; "
    "FOREACH t IN ARRAY ARRAY['migration', 'chunk', 'chunk_copied', 'partition', 'reread',"
    "                         'progress', 'definition',"
    "                         'request', 'reject', 'service', 'ledger'] LOOP "
    "  EXECUTE format('DROP TABLE pgcrossfade.%I', t); END LOOP; "
    "IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'pgcrossfade'::regnamespace) "
    "   AND NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'pgcrossfade'::regnamespace) "
    "THEN DROP SCHEMA pgcrossfade; END IF; END $$";

bool ledger_forget(struct pg *target, const char *migration, struct err *e)
{
	bool ok =
	    pg_begin(target, e) &&
	    pg_exec(target, "SELECT pg_advisory_xact_lock(hashtext('pgcrossfade.ledger'))", e) &&
	    forget_rows(target, migration, e) && pg_exec(target, drop_sql, e) &&
	    pg_commit(target, e);

	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "clear ledger");
}
