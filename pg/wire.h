/*
 * pg/wire.h: a value's text, as the server prints it, in the type's binary form.
 *
 * For the types that most columns have: a server takes ten times as long to read the text of a
 * timestamp or uuid, and copies a text array's element twice besides.
 *
 * Errors     ERR_INPUT: not what a server prints of that type.
 * Source     PostgreSQL 15, src/backend/utils/adt: int.c, int8.c, numeric.c, date.c,
 *            timestamp.c, uuid.c, each type's _recv().
 */
#ifndef PGCROSSFADE_PG_WIRE_H
#define PGCROSSFADE_PG_WIRE_H

#include "core/buf.h"
#include "core/err.h"
#include "core/plan.h"

/* How a column of the type travels; the OIDs of built-in types are the same on every server. */
enum wire wire_of_type(uint32_t type_oid);

const char *wire_name(enum wire wire);      /* of the type, as SQL */
uint32_t wire_element_type(enum wire wire); /* OIDs */
uint32_t wire_array_type(enum wire wire);

/* Length and value, as in an array. */
bool wire_text(struct buf *b, enum wire wire, struct bytes text, struct err *e);
void wire_bool(struct buf *b, bool value);
void wire_null(struct buf *b);

#endif
