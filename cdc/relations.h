/*
 * cdc/relations.h: every shape of every table seen so far, each kept once.
 *
 * Both decoders show a shape in borrowed bytes and get the one struct relation that
 * equals it, so that consumers may compare relations by pointer.
 *
 * Ownership  a relation lives until relations_finish; the shape is borrowed for the call.
 * Errors     ERR_INPUT: a name twice, or with a NUL byte, or more columns than a table has.
 */
#ifndef PGCROSSFADE_CDC_RELATIONS_H
#define PGCROSSFADE_CDC_RELATIONS_H

#include "core/change.h"
#include "core/err.h"

enum { COLUMNS_MAX = 1664 }; /* PostgreSQL's MaxTupleAttributeNumber */

struct shape_column {
	struct bytes name;
	uint32_t type;
	bool identity;
};

struct shape {
	struct bytes schema, name;
	bool whole; /* as in struct relation */
	unsigned ncolumns;
	const struct shape_column *columns;
};

struct relations {
	struct arena arena;
	struct relation_entry *entries; /* open addressing; relation NULL: free */
	unsigned count, size;
};

#define RELATIONS_INIT                                                                             \
	{                                                                                          \
		.arena = ARENA_INIT                                                                \
	}

void relations_finish(struct relations *r);

/* NULL with *e set, and nothing kept, when no table can have that shape. */
const struct relation *relations_intern(struct relations *r, const struct shape *s, struct err *e);

#endif
