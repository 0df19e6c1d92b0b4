/*
 * pg/array.h: a column of values as one binary array parameter.
 *
 * Shape      one dimension; element types int2, int4, int8, text, bool by enum wire.
 * Ownership  appended to the caller's buf.
 * Errors     ERR_INPUT: an integer's text is not an integer of that width.
 * Source     PostgreSQL 15, src/backend/utils/adt/arrayfuncs.c, array_recv().
 */
#ifndef PGCROSSFADE_PG_ARRAY_H
#define PGCROSSFADE_PG_ARRAY_H

#include "core/buf.h"
#include "core/err.h"
#include "core/plan.h"

uint32_t array_type(enum wire wire); /* OID of the array type */
uint32_t array_element_type(enum wire wire);

void array_begin(struct buf *b, enum wire wire, unsigned count);
void array_null(struct buf *b);
bool array_text(struct buf *b, enum wire wire, struct bytes text, struct err *e);
void array_bool(struct buf *b, bool value);

/* The value of an array of one, borrowed from it; data NULL: NULL. */
struct bytes array_only(struct bytes array);

#endif
