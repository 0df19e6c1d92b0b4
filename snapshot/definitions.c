#include "snapshot/definitions.h"

#include "core/log.h"
#include "pg/ledger.h"

#include <stdlib.h>
#include <string.h>

/*
 * $1: the target table, with all its partitions. Kind, table, name, create, drop, validate,
 * settle, confirm; the last three NULL where there is nothing to do. Settle and confirm are
 * formats of pg/ledger.h: who is called what when they are run is not known yet.
 *
 * While the stream runs a foreign key only checks, and late: what CASCADE and the like did
 * at the source comes as changes of its own, and a row that is deleted and inserted again
 * must not take its children along. A partitioned table knows no NOT VALID.
 */
static const char foreign_keys_sql[] =
    "WITH tree AS (SELECT $1::regclass::oid AS rel UNION"
    "  SELECT relid FROM pg_partition_tree($1::regclass)),"
    " keys AS (SELECT c.*, c.conrelid::regclass AS tab, pg_get_constraintdef(c.oid) AS def,"
    "  c.confdeltype <> 'a' OR c.confupdtype <> 'a' AS acts,"
    "  c.convalidated AND k.relkind <> 'p' AS later,"
    "  CASE WHEN c.convalidated AND k.relkind <> 'p' THEN ' NOT VALID' ELSE '' END AS unseen,"
    /* as pg_get_constraintdef begins */
    "  format('FOREIGN KEY (%s) REFERENCES %s(%s)',"
    "   (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n.place)"
    "     FROM unnest(c.conkey) WITH ORDINALITY n(no, place) JOIN pg_attribute a"
    "     ON a.attrelid = c.conrelid AND a.attnum = n.no), c.confrelid::regclass,"
    "   (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n.place)"
    "     FROM unnest(c.confkey) WITH ORDINALITY n(no, place) JOIN pg_attribute a"
    "     ON a.attrelid = c.confrelid AND a.attnum = n.no)) AS bare,"
    "  CASE c.confmatchtype WHEN 'f' THEN ' MATCH FULL' ELSE '' END AS match,"
    "  coalesce('; COMMENT ON CONSTRAINT ' || quote_ident(c.conname) || ' ON '"
    "   || c.conrelid::regclass || ' IS ' || quote_literal(obj_description(c.oid, 'pg_constraint')),"
    "   '') AS rest"
    "  FROM pg_constraint c JOIN tree ON tree.rel = c.conrelid JOIN pg_class k ON k.oid = rel"
    "  WHERE c.contype = 'f' AND c.conparentid = 0) "
    "SELECT 'foreign key', tab::text, conname::text,"
    " format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', tab, conname,"
    "   CASE WHEN acts THEN bare || match || coalesce(substring(def, ' NOT (?:VALID|ENFORCED)$'), '')"
    "    ELSE def END, unseen)"
    "  || CASE WHEN acts OR NOT condeferrable THEN"
    "   format('; ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE', tab, conname) ELSE '' END"
    "  || rest,"
    " format('ALTER TABLE %s DROP CONSTRAINT %I', tab, conname),"
    " CASE WHEN later THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I', tab, conname) END,"
    " CASE WHEN acts THEN 'ALTER TABLE %1$s DROP CONSTRAINT %2$s; ALTER TABLE %1$s ADD CONSTRAINT'"
    "   || ' %2$s FOREIGN KEY (%3$s) REFERENCES %4$s(%5$s)'"
    "   || replace(substr(def, length(bare) + 1), '%', '%%') || unseen || '%6$s'"
    "  WHEN NOT condeferrable THEN 'ALTER TABLE %1$s ALTER CONSTRAINT %2$s NOT DEFERRABLE' END,"
    " CASE WHEN acts AND later THEN 'ALTER TABLE %1$s VALIDATE CONSTRAINT %2$s' END"
    " FROM keys";

/*
 * $2: the flow's key columns. What the index is for, and what its definition leaves out.
 * An index of a partitioned table goes with those of its partitions; made again they come
 * first, under their names, and the index above takes up those that are there. Statistics targets
 * come last, and from the top: one of the index above is given to all below.
 */
static const char indexes_sql[] =
    "WITH tree AS (SELECT $1::regclass::oid AS rel UNION"
    "  SELECT relid FROM pg_partition_tree($1::regclass)),"
    " indexes AS ("
    " SELECT i.*, x.oid, x.relname, x.relispartition, x.relkind, i.indrelid::regclass AS tab,"
    "  x.oid::regclass AS idx, c.oid AS con, c.condeferrable AS late,"
    "  concat(CASE WHEN i.indisclustered"
    "    THEN format('; ALTER TABLE %s CLUSTER ON %I', i.indrelid::regclass, x.relname) END,"
    "   CASE WHEN t.spcname IS NOT NULL"
    "    THEN format('; ALTER INDEX %I.%I SET TABLESPACE %I', n.nspname, x.relname, t.spcname) END,"
    "   '; COMMENT ON INDEX ' || format('%I.%I', n.nspname, x.relname) || ' IS '"
    "    || quote_literal(obj_description(x.oid, 'pg_class')),"
    "   '; COMMENT ON CONSTRAINT ' || quote_ident(c.conname) || ' ON '"
    "    || i.indrelid::regclass || ' IS ' || quote_literal(obj_description(c.oid, 'pg_constraint'))"
    "  ) AS rest,"
    "  (SELECT string_agg(format('; ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', n.nspname,"
    "    x.relname, a.attnum, a.attstattarget), '' ORDER BY a.attnum) FROM pg_attribute a"
    "   WHERE a.attrelid = x.oid AND a.attstattarget >= 0) AS targets,"
    /* pg_get_constraintdef leaves the former out, but for EXCLUDE, and ends with the latter */
    "  (SELECT format(' WITH (%s)', string_agg(format('%I = %L', option_name, option_value), ', '))"
    "    FROM pg_options_to_table(x.reloptions) WHERE c.contype <> 'x' HAVING count(*) > 0) AS options,"
    "  concat(CASE WHEN c.condeferrable THEN ' DEFERRABLE' END,"
    "   CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' END) AS tail,"
    "  concat('CREATE ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, 'INDEX ',"
    "   quote_ident(x.relname), ' ON ') AS head,"
    "  coalesce(i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND ("
    "   SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a"
    "    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))"
    "   = (SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) k), false) AS flow_key"
    "  FROM pg_index i JOIN tree ON tree.rel = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid"
    "  JOIN pg_namespace n ON n.oid = x.relnamespace"
    "  LEFT JOIN pg_tablespace t ON t.oid = x.reltablespace"
    "  LEFT JOIN pg_constraint c ON c.conindid = x.oid AND c.contype IN ('p', 'u', 'x')),"
    " pieces AS (SELECT oid, relname, targets,"
    "  CASE WHEN con IS NOT NULL THEN format('ALTER TABLE %s ADD CONSTRAINT %I %s%s%s', tab, relname,"
    "    left(pg_get_constraintdef(con), length(pg_get_constraintdef(con)) - length(tail)),"
    "    options, tail)"
    "   WHEN relkind = 'I' /* without its ONLY */"
    "    THEN head || substr(pg_get_indexdef(oid), length(head) + length('ONLY ') + 1)"
    "   ELSE pg_get_indexdef(oid) END || rest AS make FROM indexes) "
    "SELECT CASE WHEN NOT indisunique AND NOT indisexclusion THEN 'index'"
    "            WHEN indisprimary OR (flow_key AND late IS NOT TRUE) THEN 'key'"
    "            ELSE 'unique' END,"
    "       tab::text, i.relname::text,"
    "       CASE WHEN relkind = 'I' THEN (SELECT string_agg(p.make, '; ' ORDER BY t.level DESC,"
    "          p.relname) || coalesce(string_agg(p.targets, '' ORDER BY t.level), '')"
    "         FROM pg_partition_tree(i.oid::regclass) t JOIN pieces p ON p.oid = t.relid)"
    "        ELSE (SELECT concat(make, targets) FROM pieces p WHERE p.oid = i.oid) END,"
    "       CASE WHEN con IS NULL THEN format('DROP INDEX %s', idx)"
    "            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', tab, i.relname) END,"
    "       NULL, NULL, NULL FROM indexes i"
    " WHERE i.indisvalid AND NOT i.indisreplident AND NOT i.relispartition";

static bool save_as(const struct plan *plan, struct pg *target, const struct ledger_definition *d,
		    const char *kind, const char *create, struct err *e)
{
	struct ledger_definition other = *d;

	other.kind = kind;
	other.create = create;
	return !create || ledger_add_definition(target, plan->migration, &other, e);
}

static bool save_and_drop(const struct plan *plan, struct pg *target, const struct pg_result *r,
			  unsigned row, struct err *e)
{
	struct ledger_definition d = { .kind = pg_text(r, row, 0),
				       .table = pg_text(r, row, 1),
				       .name = pg_text(r, row, 2),
				       .create = pg_text(r, row, 3),
				       .drop = pg_text(r, row, 4) };
	bool saved = ledger_add_definition(target, plan->migration, &d, e) &&
		     save_as(plan, target, &d, "validate", pg_value(r, row, 5), e) &&
		     save_as(plan, target, &d, "settle", pg_value(r, row, 6), e) &&
		     save_as(plan, target, &d, "confirm", pg_value(r, row, 7), e);

	return saved &&
	       (pg_exec(target, d.drop, e) || err_wrap(e, "drop %s of %s", d.name, d.table));
}

/* What something outside the migration rests on (a foreign key to the target) stays. */
static bool put_away_one(const struct plan *plan, struct pg *target, const struct pg_result *r,
			 unsigned row, struct err *e)
{
	if (!pg_exec(target, "SAVEPOINT definition", e))
		return false;
	if (save_and_drop(plan, target, r, row, e))
		return pg_exec(target, "RELEASE SAVEPOINT definition", e);
	if (strcmp(e->sqlstate, "2BP01") != 0)
		return false;
	log_event(LOG_INFO, "definition.kept", "table=%s name=%s", pg_text(r, row, 1),
		  pg_text(r, row, 2));
	err_clear(e);
	return pg_exec(target, "ROLLBACK TO SAVEPOINT definition", e);
}

/* Building a unique index would find that two rows clash, but not which row to put aside. */
static bool stays(const struct plan *plan, const char *kind)
{
	return plan->rejects && (strcmp(kind, "key") == 0 || strcmp(kind, "unique") == 0);
}

static bool put_away_listed(const struct plan *plan, struct pg *target, const char *sql,
			    unsigned nparams, const char *const *params, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(target, sql, nparams, params, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		ok = stays(plan, pg_text(r, i, 0)) || put_away_one(plan, target, r, i, e);
	pg_result_free(r);
	return ok;
}

/* Every chunk looks its rows up. */
static bool keeps_indexes(const struct flow_plan *f)
{
	return f->lookup;
}

static bool put_away_flow(const struct plan *plan, const struct flow_plan *f, bool foreign_keys,
			  struct pg *target, struct err *e)
{
	const char *params[] = { f->target, f->key_array };

	if (keeps_indexes(f) && !foreign_keys)
		return true;
	return foreign_keys ? put_away_listed(plan, target, foreign_keys_sql, 1, params, e)
			    : put_away_listed(plan, target, indexes_sql, 2, params, e);
}

/* All foreign keys first: they rest on the keys. */
static bool put_away_all(const struct plan *plan, struct pg *target, struct err *e)
{
	for (int turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < plan->ntables; i++)
			for (unsigned k = 0; k < plan->tables[i].nflows; k++)
				if (!put_away_flow(plan, &plan->tables[i].flows[k], turn == 0,
						   target, e))
					return false;
	return true;
}

bool definitions_put_away(const struct plan *plan, struct pg *target, struct err *e)
{
	/* with pg_catalog alone in the search_path definitions name everything in full */
	bool ok = pg_begin(target, e) && pg_exec(target, "SET LOCAL search_path = pg_catalog", e) &&
		  put_away_all(plan, target, e) &&
		  ledger_count_definitions(target, plan->migration, e) && pg_commit(target, e);

	if (!ok)
		pg_rollback(target);
	return ok || err_wrap(e, "put the target's indexes and constraints away");
}

/* --- only looking --- */

struct finder {
	const struct plan *plan;
	struct pg *target;
	struct arena *arena;
	struct definition *found;
	unsigned count, room;
};

/* Two flows into one table find the same. */
static bool is_found(const struct finder *f, const char *table, const char *name)
{
	for (unsigned i = 0; i < f->count; i++)
		if (strcmp(f->found[i].table, table) == 0 && strcmp(f->found[i].name, name) == 0)
			return true;
	return false;
}

static void take_found(struct finder *f, const struct pg_result *r, unsigned row)
{
	if (f->count == f->room) {
		struct definition *more =
		    arena_array(f->arena, f->room ? f->room * 2UL : 16, sizeof *more);
		if (f->count)
			memcpy(more, f->found, f->count * sizeof *more);
		f->room = f->room ? f->room * 2 : 16;
		f->found = more;
	}
	f->found[f->count++] =
	    (struct definition){ .kind = arena_strdup(f->arena, pg_text(r, row, 0)),
				 .table = arena_strdup(f->arena, pg_text(r, row, 1)),
				 .name = arena_strdup(f->arena, pg_text(r, row, 2)),
				 .create = arena_strdup(f->arena, pg_text(r, row, 3)),
				 .drop = arena_strdup(f->arena, pg_text(r, row, 4)),
				 .validate = pg_bool(r, row, 5) };
}

static bool find_in_flow(struct finder *f, const struct flow_plan *flow, bool foreign_keys,
			 struct err *e)
{
	const char *params[] = { flow->target, flow->key_array };
	struct pg_result *r = NULL;

	if (keeps_indexes(flow) && !foreign_keys)
		return true;
	bool ok = pg_query(f->target, foreign_keys ? foreign_keys_sql : indexes_sql,
			   foreign_keys ? 1 : 2, params, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		if (!stays(f->plan, pg_text(r, i, 0)) &&
		    !is_found(f, pg_text(r, i, 1), pg_text(r, i, 2)))
			take_found(f, r, i);
	pg_result_free(r);
	return ok;
}

static bool find_all(struct finder *f, struct err *e)
{
	for (int turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < f->plan->ntables; i++)
			for (unsigned k = 0; k < f->plan->tables[i].nflows; k++)
				if (!find_in_flow(f, &f->plan->tables[i].flows[k], turn == 0, e))
					return false;
	return true;
}

bool definitions_find(const struct plan *plan, struct pg *target, struct arena *a,
		      struct definition **out, unsigned *count, struct err *e)
{
	struct finder f = { .plan = plan, .target = target, .arena = a };
	bool ok = pg_begin(target, e) && pg_exec(target, "SET LOCAL search_path = pg_catalog", e) &&
		  find_all(&f, e);

	pg_rollback(target);
	*out = f.found;
	*count = f.count;
	return ok || err_wrap(e, "look at the target's indexes and constraints");
}

/* --- bringing back --- */

bool definition_restore(const char *migration, const struct ledger_definition *d, struct pg *target,
			struct err *e)
{
	bool ok = pg_begin(target, e) && pg_exec(target, d->create, e) &&
		  ledger_drop_definition(target, migration, d, e) && pg_commit(target, e);

	if (!ok) {
		pg_rollback(target);
		return err_wrap(e, "bring back %s of %s", d->name, d->table);
	}
	log_event(LOG_INFO, "definition.restored", "kind=\"%s\" table=%s name=%s", d->kind,
		  d->table, d->name);
	return true;
}

bool definition_waits(const struct ledger_definition *d)
{
	return strcmp(d->kind, "foreign key") == 0 || strcmp(d->kind, "validate") == 0;
}

bool definition_put_off(const struct ledger_definition *d, struct err *e)
{
	if (strcmp(e->sqlstate, "23503") != 0)
		return false;
	log_event(LOG_WARN, "definition.waits", "kind=\"%s\" table=%s name=%s", d->kind, d->table,
		  d->name);
	err_clear(e);
	return true;
}

static bool restore_all(const char *migration, bool wait, struct pg *target, struct err *e)
{
	/* a foreign key may refer to a unique constraint that is away too */
	static const char *const kinds[] = { "key", "index", "unique", "foreign key", "validate" };
	struct arena scratch = ARENA_INIT;
	struct ledger_definition *all;
	unsigned count = 0;
	bool ok = ledger_definitions(target, migration, &scratch, &all, &count, e);

	for (size_t kind = 0; ok && kind < sizeof kinds / sizeof *kinds; kind++)
		for (unsigned i = 0; ok && i < count; i++)
			if (strcmp(all[i].kind, kinds[kind]) == 0)
				ok = definition_restore(migration, &all[i], target, e) ||
				     (wait && definition_put_off(&all[i], e));
	arena_finish(&scratch);
	return ok;
}

bool definitions_restore(const char *migration, bool wait, struct pg *target, struct err *e)
{
	return restore_all(migration, wait, target, e) && ledger_mark_made(target, migration, e);
}
