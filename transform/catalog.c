#include "transform/catalog.h"

#include "pg/conn.h"
#include "transform/sqlname.h"

#include <stdlib.h>
#include <string.h>

static const char table_sql[] =
    "SELECT c.oid, c.relkind, c.relpersistence, c.relreplident,"
    " has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),"
    " has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT'),"
    " has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'),"
    " row_security_active(c.oid), EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2";

/*
 * toastable: only a value over 24 bytes leaves its row, and only in a table with a TOAST
 * table. comparable: a default operator class for the type, for what it is made of, or for
 * a type it is binary coercible to. exact: text of a nondeterministic collation is not.
 * sequence: owned (serial, identity) or named in the default.
 */
static const char columns_sql[] =
    "WITH RECURSIVE base AS ("
    " SELECT a.attnum, t.oid, t.typtype, t.typbasetype, t.typelem, t.typcategory"
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped"
    " UNION ALL"
    " SELECT b.attnum, t.oid, t.typtype, t.typbasetype, t.typelem, t.typcategory"
    " FROM base b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')"
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1),"
    " a.atttypid, b.oid, t.typnamespace = 'pg_catalog'::regnamespace,"
    " EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod"
    "  WHERE o.opcdefault AND m.amname = 'btree' AND ("
    "   o.opcintype = CASE b.typcategory WHEN 'A' THEN b.typelem ELSE b.oid END"
    "   OR (b.typtype = 'e' AND o.opcintype = 'anyenum'::regtype)"
    "   OR (b.typtype = 'r' AND o.opcintype = 'anyrange'::regtype)"
    "   OR EXISTS (SELECT FROM pg_cast x WHERE x.castmethod = 'b' AND x.castcontext = 'i'"
    "    AND x.castsource = b.oid AND x.casttarget = o.opcintype))),"
    " b.oid IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype,"
    "  'oid'::regtype, 'text'::regtype, 'varchar'::regtype, 'name'::regtype, 'bytea'::regtype,"
    "  'uuid'::regtype, 'date'::regtype, 'time'::regtype, 'timestamp'::regtype,"
    "  'timestamptz'::regtype) AND coalesce(co.collisdeterministic, true),"
    " a.attcollation = 0 OR co.collname IN ('C', 'POSIX'),"
    " a.attnotnull, a.atthasdef, a.attgenerated, a.attidentity,"
    " a.attlen = -1 AND (a.attstorage <> 'p' OR c.relkind = 'p') AND (c.reltoastrelid <> 0 OR c.relkind = 'p')"
    " AND NOT ("
    "  (b.oid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod BETWEEN 4 AND 4 + 20 /"
    "   pg_encoding_max_length((SELECT encoding FROM pg_database"
    "    WHERE datname = current_database())))"
    "  OR (b.oid = 'numeric'::regtype AND a.atttypmod >= 4 AND (a.atttypmod - 4) >> 16 <= 24)"
    "  OR b.oid IN ('inet'::regtype, 'cidr'::regtype)),"
    " (SELECT format('%I.%I', n.nspname, s.relname) FROM pg_depend d"
    "  JOIN pg_class s ON s.relkind = 'S' AND s.oid = CASE d.classid"
    "   WHEN 'pg_class'::regclass THEN d.objid ELSE d.refobjid END"
    "  JOIN pg_namespace n ON n.oid = s.relnamespace"
    "  LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum"
    "  WHERE (d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    "   AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i'))"
    "   OR (d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid"
    "    AND d.refclassid = 'pg_class'::regclass)"
    "  ORDER BY d.classid = 'pg_class'::regclass DESC LIMIT 1),"
    " b.typtype = 'e' OR (b.oid = 'bpchar'::regtype AND a.atttypmod >= 4"
    "  AND coalesce(co.collisdeterministic, true)),"
    " (SELECT format('%I.%I', n.nspname, co.collname) FROM pg_namespace n"
    "  WHERE n.oid = co.collnamespace),"
    " (SELECT format('%I.%I', n.nspname, k.collname) FROM pg_collation k"
    "  JOIN pg_namespace n ON n.oid = k.collnamespace WHERE k.oid = t.typcollation),"
    " (SELECT format('%I.%s', n.nspname, p.oprname) FROM pg_opclass o"
    "  JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree'"
    "  JOIN pg_amop w ON w.amopfamily = o.opcfamily AND w.amoplefttype = b.oid"
    "   AND w.amoprighttype = b.oid AND w.amopstrategy = 3"
    "  JOIN pg_operator p ON p.oid = w.amopopr JOIN pg_namespace n ON n.oid = p.oprnamespace"
    "  WHERE o.opcdefault AND o.opcintype = b.oid AND n.nspname <> 'pg_catalog'),"
    " CASE WHEN b.typtype = 'e' AND t.typtype = 'd' THEN format_type(b.oid, -1) END, a.attlen = -1"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_type t ON t.oid = a.atttypid"
    " JOIN base b ON b.attnum = a.attnum AND b.typtype <> 'd'"
    " LEFT JOIN pg_collation co ON co.oid = a.attcollation"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/* One row a key column; name repeats. */
static const char indexes_sql[] =
    "SELECT c.relname, i.indisprimary, i.indisreplident,"
    " i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid, a.attname"
    " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
    " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid = $1::oid AND i.indisunique AND k.place <= i.indnkeyatts"
    " ORDER BY i.indisprimary DESC, c.relname, k.place";

static const char parts_sql[] =
    "SELECT n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident"
    " FROM pg_partition_tree($1::oid::regclass) p JOIN pg_class c ON c.oid = p.relid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind <> 'p'"
    " ORDER BY n.nspname, c.relname";

static const char references_sql[] =
    "SELECT conrelid, confrelid, condeferrable, conname FROM pg_constraint"
    " WHERE contype = 'f' OR condeferrable ORDER BY conname";

static const char *kept(struct arena *a, const struct pg_result *r, unsigned row, unsigned column)
{
	const char *value = pg_value(r, row, column);

	return value ? arena_strdup(a, value) : NULL;
}

static uint32_t oid_of(const struct pg_result *r, unsigned row, unsigned column)
{
	return (uint32_t)strtoul(pg_text(r, row, column), NULL, 10);
}

unsigned catalog_column_find(const struct catalog_table *t, const char *name)
{
	unsigned i = 0;

	while (i < t->ncolumns && strcmp(t->columns[i].name, name) != 0)
		i++;
	return i;
}

const char *catalog_column_near(struct arena *a, const struct catalog_table *t, const char *name)
{
	const char **names = arena_array(a, t->ncolumns, sizeof *names);

	for (unsigned i = 0; i < t->ncolumns; i++)
		names[i] = t->columns[i].name;
	return nearest_name(name, names, t->ncolumns);
}

bool catalog_is_text(const struct catalog_column *c)
{
	enum { TEXT = 25, VARCHAR = 1043 };

	return c->base_oid == TEXT || c->base_oid == VARCHAR;
}

bool catalog_own_collation(const struct catalog_column *c)
{
	return c->collation && strcmp(c->collation, c->type_collation) != 0;
}

static void take_table(const struct pg_result *r, struct catalog_table *t)
{
	t->oid = oid_of(r, 0, 0);
	t->kind = pg_text(r, 0, 1)[0];
	t->persistence = pg_text(r, 0, 2)[0];
	t->replica_identity = pg_text(r, 0, 3)[0];
	t->may_select = pg_bool(r, 0, 4);
	t->may_insert = pg_bool(r, 0, 5);
	t->may_update = pg_bool(r, 0, 6);
	t->may_delete = pg_bool(r, 0, 7);
	t->row_security = pg_bool(r, 0, 8);
	t->has_children = pg_bool(r, 0, 9);
}

static struct catalog_column take_column(struct arena *a, const struct pg_result *r, unsigned row)
{
	return (struct catalog_column){
		.name = arena_strdup(a, pg_text(r, row, 0)),
		.type = kept(a, r, row, 1),
		.bare_type = kept(a, r, row, 2),
		.type_oid = oid_of(r, row, 3),
		.base_oid = oid_of(r, row, 4),
		.builtin = pg_bool(r, row, 5),
		.comparable = pg_bool(r, row, 6),
		.exact = pg_bool(r, row, 7),
		.bytewise = pg_bool(r, row, 8),
		.not_null = pg_bool(r, row, 9),
		.has_default = pg_bool(r, row, 10),
		.generated = pg_text(r, row, 11)[0],
		.identity = pg_text(r, row, 12)[0],
		.toastable = pg_bool(r, row, 13),
		.sequence = kept(a, r, row, 14),
		.one_text = pg_bool(r, row, 7) || pg_bool(r, row, 15),
		.collation = kept(a, r, row, 16),
		.type_collation = kept(a, r, row, 17),
		.equality = kept(a, r, row, 18),
		.enum_type = kept(a, r, row, 19),
		.varlena = pg_bool(r, row, 20),
	};
}

static bool load_columns(struct pg *pg, struct arena *a, const char *oid, struct catalog_table *t,
			 struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(pg, columns_sql, 1, &oid, &r, e);

	if (ok) {
		struct catalog_column *columns = arena_array(a, pg_rows(r), sizeof *columns);
		for (unsigned i = 0; i < pg_rows(r); i++)
			columns[i] = take_column(a, r, i);
		t->columns = columns;
		t->ncolumns = pg_rows(r);
	}
	pg_result_free(r);
	return ok;
}

/* Rows of one index stand together; each brings one more column. */
static void take_indexes(struct arena *a, const struct pg_result *r, struct catalog_table *t)
{
	struct catalog_index *list = arena_array(a, pg_rows(r), sizeof *list);
	unsigned *columns = arena_array(a, pg_rows(r), sizeof *columns);

	for (unsigned i = 0; i < pg_rows(r); i++) {
		const char *name = pg_text(r, i, 0);
		bool starts = i == 0 || strcmp(pg_text(r, i - 1, 0), name) != 0;
		struct catalog_index *last = &list[starts ? t->nindexes++ : t->nindexes - 1];
		if (starts) {
			last->name = arena_strdup(a, name);
			last->primary = pg_bool(r, i, 1);
			last->replica_identity = pg_bool(r, i, 2);
			last->exact = pg_bool(r, i, 3);
			last->columns = &columns[i];
		}
		columns[i] = catalog_column_find(t, pg_text(r, i, 4));
		last->ncolumns++;
	}
	t->indexes = list;
}

static bool load_indexes(struct pg *pg, struct arena *a, const char *oid, struct catalog_table *t,
			 struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(pg, indexes_sql, 1, &oid, &r, e);

	if (ok)
		take_indexes(a, r, t);
	pg_result_free(r);
	return ok;
}

/* What all parts of a partitioned table send of an old row. */
static char common_identity(const struct catalog_table *t)
{
	bool full = t->nparts > 0;

	for (unsigned i = 0; i < t->nparts; i++) {
		char identity = t->parts[i].replica_identity;
		if (identity != 'f' && identity != 'd')
			return 'n';
		full = full && identity == 'f';
	}
	return full ? 'f' : 'd';
}

static bool load_parts(struct pg *pg, struct arena *a, const char *oid, struct catalog_table *t,
		       struct err *e)
{
	struct pg_result *r = NULL;

	if (!catalog_partitioned(t))
		return true;
	if (!pg_query(pg, parts_sql, 1, &oid, &r, e))
		return false;
	struct catalog_part *parts = arena_array(a, pg_rows(r), sizeof *parts);
	for (unsigned i = 0; i < pg_rows(r); i++)
		parts[i] = (struct catalog_part){
			.schema = arena_strdup(a, pg_text(r, i, 0)),
			.name = arena_strdup(a, pg_text(r, i, 1)),
			.kind = pg_text(r, i, 2)[0],
			.persistence = pg_text(r, i, 3)[0],
			.replica_identity = pg_text(r, i, 4)[0],
		};
	t->parts = parts;
	t->nparts = pg_rows(r);
	t->replica_identity = common_identity(t);
	pg_result_free(r);
	return true;
}

/* Under pg_catalog alone format_type() writes the schema of every other type. */
static bool load_all(struct pg *pg, struct arena *a, struct catalog_table **out, struct err *e)
{
	const char *names[] = { (*out)->schema, (*out)->name };
	struct pg_result *r = NULL;
	bool ok = pg_exec(pg, "SET LOCAL search_path = pg_catalog", e) &&
		  pg_query(pg, table_sql, 2, names, &r, e);

	if (ok && pg_rows(r) == 0) {
		*out = NULL;
	} else if (ok) {
		const char *oid = pg_text(r, 0, 0);
		take_table(r, *out);
		ok = load_columns(pg, a, oid, *out, e) && load_indexes(pg, a, oid, *out, e) &&
		     load_parts(pg, a, oid, *out, e);
	}
	pg_result_free(r);
	return ok;
}

bool catalog_table_load(struct pg *pg, struct arena *a, const char *schema, const char *name,
			struct catalog_table **out, struct err *e)
{
	*out = arena_zalloc(a, sizeof **out);
	(*out)->schema = arena_strdup(a, schema);
	(*out)->name = arena_strdup(a, name);
	bool ok = pg_begin(pg, e) && load_all(pg, a, out, e);

	pg_rollback(pg);
	if (!ok)
		err_wrap(e, "catalog of %s.%s", schema, name);
	return ok;
}

bool catalog_references_load(struct pg *pg, struct arena *a, struct catalog_reference **out,
			     unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query(pg, references_sql, 0, NULL, &r, e);

	*count = ok ? pg_rows(r) : 0;
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct catalog_reference){
			.child = oid_of(r, i, 0),
			.parent = oid_of(r, i, 1),
			.deferrable = pg_bool(r, i, 2),
			.name = kept(a, r, i, 3),
		};
	pg_result_free(r);
	return ok;
}

const struct catalog_index *catalog_primary(const struct catalog_table *t)
{
	for (unsigned i = 0; i < t->nindexes; i++)
		if (t->indexes[i].primary && t->indexes[i].exact)
			return &t->indexes[i];
	return NULL;
}

const struct catalog_index *catalog_identity(const struct catalog_table *t)
{
	if (t->replica_identity == 'd')
		return catalog_primary(t);
	for (unsigned i = 0; i < t->nindexes; i++)
		if (t->replica_identity == 'i' && t->indexes[i].replica_identity)
			return &t->indexes[i];
	return NULL;
}

static bool in_index(const struct catalog_index *i, unsigned column)
{
	for (unsigned k = 0; i && k < i->ncolumns; k++)
		if (i->columns[k] == column)
			return true;
	return false;
}

bool catalog_in_identity(const struct catalog_table *t, unsigned column)
{
	return t->replica_identity == 'f' || in_index(catalog_identity(t), column);
}

bool catalog_in_key(const struct catalog_table *t, unsigned column)
{
	return in_index(t->replica_identity == 'f' ? catalog_primary(t) : catalog_identity(t),
			column);
}
