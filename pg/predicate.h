/*
 * pg/predicate.h: the WHERE of a chunk. Pure text, no connection.
 *
 * lo and hi hold one text a column of table->chunk.key (one tid where that is empty): the
 * chunk is lo <= key < hi. NULL, or a NULL first text: open on that side.
 */
#ifndef PGCROSSFADE_PG_PREDICATE_H
#define PGCROSSFADE_PG_PREDICATE_H

#include "core/buf.h"
#include "core/plan.h"

void chunk_predicate(const struct table_plan *table, const char *const *lo, const char *const *hi,
		     struct buf *out);

#endif
