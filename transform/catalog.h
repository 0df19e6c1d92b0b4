/*
 * transform/catalog.h: what a server's catalog says of a table.
 *
 * Type names are written so that they mean the same under any search_path: built-in ones
 * bare, all others with their schema.
 *
 * Ownership  everything lives in the arena.
 * Errors     false: the server could not be asked. A table that is not there is no error.
 */
#ifndef PGCROSSFADE_TRANSFORM_CATALOG_H
#define PGCROSSFADE_TRANSFORM_CATALOG_H

#include "core/arena.h"
#include "core/err.h"

#include <stdint.h>

struct pg;

struct catalog_column {
	const char *name;
	const char *type;      /* with modifier: numeric(10,2) */
	const char *bare_type; /* without: numeric, bpchar */
	uint32_t type_oid;
	uint32_t base_oid; /* below all domains */
	bool builtin;      /* the type is PostgreSQL's own */
	bool comparable;   /* has an equality that means equal */
	bool exact;        /* values that are equal are the same: not 1.0 and 1.00 */
	bool one_text;     /* values that are equal have one text */
	bool bytewise;     /* its order depends on no collation */
	bool not_null, has_default;
	char generated;       /* 's' stored, 'v' virtual, 0 */
	char identity;        /* 'a' always, 'd' by default, 0 */
	bool toastable;       /* may be stored out of line */
	bool varlena;         /* so is it when it is widened */
	const char *sequence; /* quoted; feeds its default. NULL: none */
	/* Quoted: its collation and its type's; NULL: it has none. */
	const char *collation, *type_collation;
	const char *enum_type; /* below a domain: = takes the enum alone. NULL: it is no such */
	const char *equality;  /* as in OPERATOR(...), where its type's = is not PostgreSQL's own */
};

struct catalog_index {
	const char *name;
	bool primary, replica_identity;
	bool exact; /* not deferrable, not partial, over columns only, valid */
	unsigned ncolumns;
	const unsigned *columns; /* in index order; exact ones only */
};

/* A partition that is not partitioned itself. */
struct catalog_part {
	const char *schema, *name;
	char kind, persistence, replica_identity; /* as in pg_class */
};

/*
 * Of a partitioned table the replica identity is what its parts have in common: 'f' when
 * all have it, 'd' when each has it or 'f', else 'n'.
 */
struct catalog_table {
	const char *schema, *name;
	uint32_t oid;
	char kind, persistence, replica_identity; /* as in pg_class */
	bool may_select, may_insert, may_update, may_delete;
	bool row_security; /* hides rows from this role */
	bool has_children; /* by inheritance */
	unsigned ncolumns;
	const struct catalog_column *columns;
	unsigned nparts; /* of a partitioned table, all levels down */
	const struct catalog_part *parts;
	unsigned nindexes; /* unique ones */
	const struct catalog_index *indexes;
};

/* A foreign key, or another constraint that is deferrable (parent 0). */
struct catalog_reference {
	uint32_t child, parent;
	bool deferrable;
	const char *name;
};

/* *out is NULL when there is no such table. */
bool catalog_table_load(struct pg *pg, struct arena *a, const char *schema, const char *name,
			struct catalog_table **out, struct err *e);

/* All of that database, for the caller to pick from. */
bool catalog_references_load(struct pg *pg, struct arena *a, struct catalog_reference **out,
			     unsigned *count, struct err *e);

/* Index of the column, or ncolumns. */
unsigned catalog_column_find(const struct catalog_table *t, const char *name);

/* text or varchar, or a domain over one. */
bool catalog_is_text(const struct catalog_column *c);

/* Has it another collation than its type gives it? */
bool catalog_own_collation(const struct catalog_column *c);

/* The column most likely meant, or NULL. */
const char *catalog_column_near(struct arena *a, const struct catalog_table *t, const char *name);

/* The primary key where it is not deferrable, or NULL; the replica identity's index, or NULL (primary key for 'd'). */
const struct catalog_index *catalog_primary(const struct catalog_table *t);
const struct catalog_index *catalog_identity(const struct catalog_table *t);

/* Is it partitioned? */
static inline bool catalog_partitioned(const struct catalog_table *t)
{
	return t->kind == 'p';
}

/* Is the column sent with the old row? */
bool catalog_in_identity(const struct catalog_table *t, unsigned column);

/* In the index that is the identity, or was, or will be, where it is FULL. */
bool catalog_in_key(const struct catalog_table *t, unsigned column);

#endif
