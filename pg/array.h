/*
 * pg/array.h: a column of values as one binary array parameter.
 *
 * Shape      one dimension: array_begin(), then wire_text(), wire_bool() or wire_null() for each.
 * Ownership  appended to the caller's buf.
 * Source     PostgreSQL 15, src/backend/utils/adt/arrayfuncs.c, array_recv().
 */
#ifndef PGCROSSFADE_PG_ARRAY_H
#define PGCROSSFADE_PG_ARRAY_H

#include "pg/wire.h"

void array_begin(struct buf *b, enum wire wire, unsigned count);

/* The value of an array of one, borrowed from it; data NULL: NULL. */
struct bytes array_only(struct bytes array);

#endif
