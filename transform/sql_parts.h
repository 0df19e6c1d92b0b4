/*
 * transform/sql_parts.h: the parts that a flow's statements are put together from.
 *
 * Only the sql_*.c files include this. Shape and ownership as in transform/sql.h.
 */
#ifndef PGCROSSFADE_TRANSFORM_SQL_PARTS_H
#define PGCROSSFADE_TRANSFORM_SQL_PARTS_H

#include "transform/sql.h"

/* A row bound to arrays: (SELECT unnest($first), ...) AS alias(c0, c1, ...); where the flow says
 * one_row, to values: (SELECT $first, ...) AS alias(c0, c1, ...). */
struct binding {
	const struct flow *flow;
	const char *alias;
	unsigned first; /* its first parameter, from 1 */
	unsigned nparams;
	const struct param *params;
};

/* The columns of a set, in the table's order; then a keep flag for each that wants one. */
struct binding bind_row(struct arena *a, const struct flow *f, const bool *reads, bool keeps);

/* Two rows in one statement: the second's parameters follow the first's, from now on. What is
 * returned has the parameters of both, and is for sql_name only. */
struct binding bind_both(struct arena *a, const struct binding *first, struct binding *second);

/* WITH old AS (SELECT ... FROM the row bound) */
void sql_put_cte(struct buf *b, const struct binding *bound, const char *materialized);

/* The row bound, LATERAL (WITH old AS (...) SELECT s.* FROM (select) s) name */
void sql_put_lateral(struct buf *b, const struct binding *bound, const char *select,
		     const char *name);

/* The statement of that name, or its form for one row; takes sql's text and frees it. bound NULL:
 * no parameters. */
void sql_name(struct arena *a, const struct flow *f, const char *what, struct buf *sql,
	      const struct binding *bound, struct statement *out);

void sql_put_target(struct buf *b, const struct flow *f);

/*
 * The value as the target holds it, for comparing: numeric(10,2) rounds as the INSERT did.
 * A length is left out, for an explicit cast would cut what the INSERT refuses.
 */
const char *sql_stored_type(const struct catalog_column *c);

/* held."a" and given."a"::text COLLATE "C": the output as its column has it, collation and all. */
void sql_put_held(struct buf *b, const char *held, const struct catalog_column *c);
void sql_put_given(struct buf *b, const char *given, const struct catalog_column *c);

/* The = of the column's index, in search_path or not. */
void sql_put_equals(struct buf *b, const struct catalog_column *c);

/* held."a" = given."a"::bigint AND ...: rows of the target against rows that were made. */
struct match {
	const char *held, *given;
	unsigned count;
	const unsigned *outputs;
};

void sql_put_match(struct buf *b, const struct flow *f, const struct match *m);

/* The outputs by which an old row's rows are found; held is t. */
void sql_put_found(struct buf *b, const struct flow *f, const char *given);

/* AND t."a" = 'x' AND ...: where literals tell this flow's rows from those of others. */
void sql_put_literals(struct buf *b, const struct flow *f);

/* INSERT INTO target (columns), up to the rows. */
void sql_put_insert_into(struct buf *b, const struct flow *f);

/* INSERT INTO target (columns) of the rows that the SELECT makes of the row bound */
void sql_put_insert(struct buf *b, const struct flow *f, const struct binding *bound);

/* ON CONFLICT (key) */
void sql_put_conflict_target(struct buf *b, const struct flow *f);

/* ON CONFLICT (key) DO UPDATE SET the others */
void sql_put_conflict(struct buf *b, const struct flow *f);

/* Upsert in two steps: no sequence moves for rows that are there, and a row of another
 * owner is not taken over. */
void sql_put_split_upsert(struct buf *b, const struct flow *f, const struct binding *bound);

/* DELETE of the rows that an old row made, found by its key or owner. */
void sql_make_remove(struct arena *a, const struct flow *f, struct flow_plan *out);

/* sql_owner.c: all but clear of a flow that makes several rows of one. */
void sql_owner(struct arena *a, const struct flow *f, struct flow_plan *out);

/* sql_lookup.c: what follows the INSERT INTO and the binding of old. */
void sql_put_lookup(struct buf *b, const struct flow *f);
void sql_lookup(struct arena *a, const struct flow *f, struct flow_plan *out);

#endif
