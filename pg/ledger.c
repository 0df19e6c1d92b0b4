#include "pg/ledger.h"

#include "core/buf.h"
#include "pg/quote.h"

#include <stdio.h>
#include <string.h>

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
	m->targets_known = pg_bool(r, 0, 12);
	return m;
}

/* Early ledgers have the version of later ones, and less in them. */
static bool unreadable(struct err *e)
{
	static const char no_column[] = "42703", no_table[] = "42P01";

	if (strcmp(e->sqlstate, no_column) != 0 && strcmp(e->sqlstate, no_table) != 0)
		return err_wrap(e, "read ledger");
	char text[sizeof e->text];
	memcpy(text, e->text, sizeof text);
	return err_set(e, ERR_CONFIG,
		       "the ledger in schema pgcrossfade was made by an early pgcrossfade that "
		       "kept less in it (%.500s); end its migrations with that one, then drop the "
		       "schema",
		       text);
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
	if (!ledger_check_version(target, e))
		return false;
	if (!pg_query(
		target,
		"SELECT name, phase, digest, source_system, source_database, error, "
		"slot_lsn, write_pause_us, phase_since, error_at, definitions, source_timeline, "
		"targets IS NOT NULL "
		"FROM pgcrossfade.migration WHERE name = $1",
		1, &migration, &r, e))
		return unreadable(e);
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

/* params: the migration first. */
static bool set_fields(struct pg *target, const char *sql, unsigned nparams,
		       const char *const *params, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(target, sql, nparams, params, &r, e);

	if (ok && pg_affected(r) != 1)
		ok =
		    err_set(e, ERR_CONFIG, "migration %s is not in the ledger any more", params[0]);
	pg_result_free(r);
	return ok || err_wrap(e, "write ledger");
}

static bool set_field(struct pg *target, const char *sql, const char *migration, const char *value,
		      struct err *e)
{
	const char *params[] = { migration, value };

	return set_fields(target, sql, 2, params, e);
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

bool ledger_columns(struct pg *target, const char *migration, struct arena *a,
		    struct ledger_columns *out, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target, "SELECT columns, stamps FROM pgcrossfade.migration WHERE name = $1",
		      1, &migration, &r, e))
		return err_wrap(e, "read ledger");
	bool ok = pg_rows(r) ||
		  err_set(e, ERR_CONFIG, "migration %s is not in the ledger any more", migration);
	if (ok)
		*out = (struct ledger_columns){ text_or_null(a, r, 0), text_or_null(a, r, 1) };
	pg_result_free(r);
	return ok;
}

bool ledger_set_columns(struct pg *target, const char *migration, const struct ledger_columns *c,
			struct err *e)
{
	const char *params[] = { migration, c->lines, c->stamps };

	return set_fields(
	    target, "UPDATE pgcrossfade.migration SET columns = $2, stamps = $3 WHERE name = $1", 3,
	    params, e);
}

bool ledger_set_targets(struct pg *target, const char *migration, const char *const *tables,
			unsigned count, struct err *e)
{
	struct buf names = BUF_INIT;

	buf_text_array(&names, tables, count);
	bool ok = set_field(target,
			    "UPDATE pgcrossfade.migration SET targets = (SELECT array_agg(DISTINCT "
			    "n::regclass::oid) FROM unnest($2::text[]) n) WHERE name = $1",
			    migration, buf_str(&names), e);
	buf_free(&names);
	return ok;
}

bool ledger_targets(struct pg *target, const char *migration, struct arena *a, bool *known,
		    const char ***out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target,
		      "SELECT c.oid::regclass FROM pgcrossfade.migration m LEFT JOIN pg_class c "
		      "ON c.oid = ANY (m.targets) WHERE m.name = $1 AND m.targets IS NOT NULL",
		      1, &migration, &r, e))
		return err_wrap(e, "read ledger");
	*known = pg_rows(r) > 0;
	*out = arena_array(a, pg_rows(r) + 1, sizeof **out);
	*count = 0;
	for (unsigned i = 0; i < pg_rows(r); i++)
		if (pg_value(r, i, 0))
			(*out)[(*count)++] = arena_strdup(a, pg_text(r, i, 0));
	pg_result_free(r);
	return true;
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
