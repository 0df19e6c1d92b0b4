/*
 * transform/sql.h: a flow as SQL text. The only place where a flow's statements are made.
 *
 * A row of the stream is bound by a CTE, so the mapping's text runs unchanged:
 *
 *   WITH old AS (SELECT u.c0 AS "id", u.c1::text AS "name"
 *                FROM (SELECT unnest($1::int4[]), unnest($2::text[])) AS u(c0, c1))
 *   SELECT q."a", q."b" FROM (<the mapping's SELECT>) q
 *
 * Values travel as text but for int2, int4 and int8, and get the source column's type. For a
 * single row there is a second form, without arrays: FROM (SELECT $1::int4, $2::text) AS u(c0, c1).
 *
 * Ownership  texts live in the arena.
 */
#ifndef PGCROSSFADE_TRANSFORM_SQL_H
#define PGCROSSFADE_TRANSFORM_SQL_H

#include "core/buf.h"
#include "transform/flow.h"

/* insert, upsert, renew, update, remove, leave, clear, move. */
void sql_apply(struct arena *a, const struct flow *f, struct flow_plan *out);

/* copy_out, copy_in, stage_*, insert_select. */
void sql_copy(struct arena *a, const struct flow *f, bool one_database, struct flow_plan *out);

/* stored_select. */
void sql_stored(struct arena *a, const struct table_plan *table, struct flow_plan *out);

/* One row (type oid of each output) of the SELECT over no rows. */
const char *sql_output_types(struct arena *a, const struct flow *f);

/* The SELECT over one bound row, for the server to judge its names. */
const char *sql_select(struct arena *a, const struct flow *f);

/* INSERT of one output alone, for the server to judge its type. */
const char *sql_insert_one(struct arena *a, const struct flow *f, unsigned output);

struct trial;

/* One row: a count of values, then how many rows each test of the trial refuses. */
void sql_trial(struct arena *a, const struct trial *t, struct statement *out);

/* One row, over all of the source: groups of rows with equal values in these outputs, rows in
 * them, the values of one group. */
const char *sql_repeated(struct arena *a, const struct flow *f, unsigned n,
			 const unsigned *outputs);

/* A table's stage and the stage_insert of its flows, where one of them reads tables of the
 * target or is a lookup. flows: in the order in which their plans were added to the tables. */
void sql_stage(struct plan *plan, const struct flow *flows, unsigned nflows, unsigned table);

/* sample and judge of a table with a chunk key. */
void sql_chunk(struct arena *a, const char *migration, unsigned no, struct table_plan *table);

/*
 * clear_copied of a flow. outputs: for each column of the table's chunk key, the output that
 * holds it as it is.
 */
void sql_clear_copied(struct arena *a, const char *migration, const struct table_plan *table,
		      const struct flow *f, const unsigned *outputs, struct statement *out);

/*
 * A chunk key from a text, as its type's own input reads it: a cast from text may be somebody's own.
 * Text is ordered as the source orders it: chunk keys of text are in "C" there.
 */
void sql_put_key(struct buf *b, const char *text, const struct plan_column *c);

/* The buf's text in the arena; frees the buf. */
const char *sql_text(struct arena *a, struct buf *b);

/* "a", "b" of the flow's target, the outputs' order. */
void sql_put_target_columns(struct buf *b, const struct flow *f);

/* q."a", q."b" */
void sql_put_outputs(struct buf *b, const struct flow *f);

/* WITH old AS (the rows bound to arrays): the statement gets their parameters. */
void sql_put_old(struct arena *a, const struct flow *f, struct buf *b, struct statement *out);

/* FROM (the SELECT over the whole source table) q */
void sql_put_rows(struct buf *b, const struct flow *f);

/* OVERRIDING SYSTEM VALUE where an identity column wants it. */
void sql_put_overriding(struct buf *b, const struct flow *f);

#endif
