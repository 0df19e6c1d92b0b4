#include "pg/ledger.h"

/* A change of what follows is a step of upgrades[], and one version more. */
enum { LEDGER_VERSION = 6 };

static const char schema_sql[] =
    "CREATE SCHEMA IF NOT EXISTS pgcrossfade;"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.ledger (version int PRIMARY KEY);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.migration ("
    "  name text PRIMARY KEY, phase text NOT NULL, digest text NOT NULL,"
    "  source_system text NOT NULL, source_database text NOT NULL, source_timeline int NOT NULL,"
    "  slot_lsn pg_lsn,"
    "  error text, error_at timestamptz, definitions int, write_pause_us bigint,"
    "  columns text, stamps text, targets oid[],"
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
    "  id bigserial PRIMARY KEY, migration text, relation text, key text[] NOT NULL,"
    "  lg pg_lsn NOT NULL, commit_lsn pg_lsn NOT NULL);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.progress ("
    "  migration text, direction text, part int, system text NOT NULL, slot text NOT NULL,"
    "  lsn pg_lsn NOT NULL, commit_time timestamptz, changes bigint NOT NULL DEFAULT 0,"
    "  transactions bigint NOT NULL DEFAULT 0, PRIMARY KEY (migration, direction, part))"
    "  WITH (fillfactor = 10);"
    "CREATE TABLE IF NOT EXISTS pgcrossfade.definition ("
    "  id bigserial, migration text, table_name text, name text, kind text NOT NULL,"
    "  create_sql text NOT NULL, drop_sql text NOT NULL, made oid,"
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
    "  confirmed pg_lsn, error text, error_since timestamptz, tries int, next_try timestamptz)"
    "  WITH (fillfactor = 10);";

/* What takes a ledger from one version to the next. Runs of other migrations may be at work on it. */
static const struct {
	int from;
	const char *sql;
} upgrades[] = {
	/* some that call themselves version 1 lack more than the last of them did */
	{ 1, "ALTER TABLE pgcrossfade.migration ADD COLUMN IF NOT EXISTS error_at timestamptz,"
	     " ADD COLUMN IF NOT EXISTS definitions int;"
	     "ALTER TABLE pgcrossfade.service ADD COLUMN IF NOT EXISTS change_rate float8,"
	     " ADD COLUMN IF NOT EXISTS bottleneck text,"
	     " ADD COLUMN IF NOT EXISTS started_at timestamptz,"
	     " ADD COLUMN IF NOT EXISTS confirmed pg_lsn, ADD COLUMN IF NOT EXISTS error text,"
	     " ADD COLUMN IF NOT EXISTS error_since timestamptz,"
	     " ADD COLUMN IF NOT EXISTS tries int, ADD COLUMN IF NOT EXISTS next_try timestamptz;"
	     "UPDATE pgcrossfade.service SET confirmed = applied WHERE confirmed IS NULL;"
	     "UPDATE pgcrossfade.reject SET error = split_part(error, '; Failing row contains', 1)"
	     " WHERE strpos(error, '; Failing row contains') > 0" },
	{ 2, "ALTER TABLE pgcrossfade.migration ADD COLUMN IF NOT EXISTS columns text,"
	     " ADD COLUMN IF NOT EXISTS targets oid[]" },
	/* what it is for each run adds to its own rows: see ledger_mark_made() */
	{ 3, "ALTER TABLE pgcrossfade.definition ADD COLUMN IF NOT EXISTS made oid" },
	{ 4, "ALTER TABLE pgcrossfade.migration ADD COLUMN IF NOT EXISTS stamps text" },
	/* rows of a table without a key are not deleted where a publication is FOR ALL TABLES */
	{ 5, "ALTER TABLE pgcrossfade.reread ADD COLUMN IF NOT EXISTS id bigserial PRIMARY KEY" },
};

static const char version_sql[] = "INSERT INTO pgcrossfade.ledger SELECT %d "
				  "WHERE NOT EXISTS (SELECT FROM pgcrossfade.ledger)";

bool ledger_exists(struct pg *target, bool *exists, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(target, "SELECT to_regclass('pgcrossfade.ledger') IS NOT NULL", 0,
			       NULL, &r, e);

	*exists = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

static bool load_version(struct pg *target, int *version, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(target, "SELECT coalesce(max(version), 0) FROM pgcrossfade.ledger",
			       0, NULL, &r, e);

	*version = ok ? (int)pg_int(r, 0, 0) : 0;
	pg_result_free(r);
	return ok;
}

static bool not_newer(int version, struct err *e)
{
	return version <= LEDGER_VERSION ||
	       err_set(e, ERR_CONFIG,
		       "the ledger in schema pgcrossfade has version %d, and this pgcrossfade "
		       "knows it up to version %d; use the pgcrossfade that made it, or a later "
		       "one",
		       version, LEDGER_VERSION);
}

bool ledger_check_version(struct pg *target, struct err *e)
{
	int version;

	if (!load_version(target, &version, e) || !not_newer(version, e))
		return false;
	return version == LEDGER_VERSION ||
	       err_set(e, ERR_CONFIG,
		       "the ledger in schema pgcrossfade has version %d, and this pgcrossfade "
		       "reads version %d; start run, which brings it up to date, or use the "
		       "pgcrossfade that made it",
		       version, LEDGER_VERSION);
}

static bool upgrade(struct pg *target, struct err *e)
{
	int version;

	if (!load_version(target, &version, e) || !not_newer(version, e))
		return false;
	for (size_t i = 0; i < sizeof upgrades / sizeof *upgrades; i++)
		if (upgrades[i].from >= version && !pg_exec(target, upgrades[i].sql, e))
			return err_wrap(e, "from version %d", upgrades[i].from);
	return pg_execf(target, e, "UPDATE pgcrossfade.ledger SET version = %d WHERE version < %d",
			LEDGER_VERSION, LEDGER_VERSION);
}

bool ledger_create(struct pg *target, struct err *e)
{
	/* two runs may start at once: the lock makes the second wait for the first */
	bool ok =
	    pg_begin(target, e) &&
	    pg_exec(target, "SELECT pg_advisory_xact_lock(hashtext('pgcrossfade.ledger'))", e) &&
	    pg_exec(target, schema_sql, e) && pg_execf(target, e, version_sql, LEDGER_VERSION) &&
	    upgrade(target, e) && pg_commit(target, e);

	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "create ledger at the target");
}

bool ledger_older(struct pg *target, bool *older, struct err *e)
{
	bool exists;
	int version;

	*older = false;
	if (!ledger_exists(target, &exists, e))
		return false;
	if (!exists)
		return true;
	if (!load_version(target, &version, e) || !not_newer(version, e))
		return false;
	*older = version < LEDGER_VERSION;
	return true;
}

bool ledger_upgrade(struct pg *target, struct err *e)
{
	bool older;

	return ledger_older(target, &older, e) && (!older || ledger_create(target, e));
}
