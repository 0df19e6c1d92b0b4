/*
 * transform/tables.h: checked flows, gathered into the plan's tables and sequences.
 */
#ifndef PGCROSSFADE_TRANSFORM_TABLES_H
#define PGCROSSFADE_TRANSFORM_TABLES_H

#include "transform/flow.h"

/* One table_plan for each source table, with its flows; columns, keys and chunk SQL. */
void tables_build(struct plan *plan, const struct flow *flows, unsigned nflows);

/* The target's sequences behind the columns that flows write. */
void sequences_build(struct plan *plan, const struct flow *flows, unsigned nflows);

/* Is the output a column of from of which two values that differ still differ in the target's? */
bool tables_keeps_apart(const struct flow *f, unsigned output);

/* Do rows that differ in this column of from differ in the flow's key as well? */
bool tables_key_holds(const struct flow *f, unsigned column);

#endif
