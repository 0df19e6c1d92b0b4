/*
 * snapshot/chunks.h: how each table is cut, and what of it is copied.
 *
 * Cut once, before the first row of the table is copied, by key ranges of about equal
 * size whose first and last are open-ended; a table without a usable key by ctid. The
 * cut is in the ledger, so that a restart goes on with the same chunks.
 *
 * Ownership  arrays and bounds live in the arena given.
 */
#ifndef PGCROSSFADE_SNAPSHOT_CHUNKS_H
#define PGCROSSFADE_SNAPSHOT_CHUNKS_H

#include "core/arena.h"
#include "core/plan.h"
#include "pg/ledger.h"

struct table_chunks {
	const struct table_plan *table;
	unsigned count;
	struct ledger_chunk *chunks;
	bool rewritten; /* found while it was copied */
};

/* How a table would be cut now. bounds[i]: nbounds texts between chunk i and chunk i + 1. */
struct table_cut {
	uint64_t bytes;          /* of the table with TOAST */
	double rows;             /* as its last ANALYZE estimated; negative: never analyzed */
	unsigned nbounds, count; /* count + 1 chunks */
	const char ***bounds;
};

/* Decides, and writes nothing: chunks_load does the same and puts it into the ledger. */
bool chunks_cut(const struct table_plan *t, struct pg *source, uint64_t chunk_bytes,
		struct arena *a, struct table_cut *out, struct err *e);

/*
 * The chunks of every table of the plan, cutting those that are not cut yet. A table
 * that must be copied in one generation and is not wholly copied starts over: its
 * target rows and its ledger rows go together, with those of tables that share a target.
 */
bool chunks_load(const struct plan *plan, struct pg *source, struct pg *target,
		 uint64_t chunk_bytes, struct arena *a, struct table_chunks **out, struct err *e);

/*
 * Tables that start over because they were found rewritten. If a TRUNCATE did that, the stream
 * takes what was copied before it; where it could not tell these rows, none may be left.
 */
bool chunks_start_over(const struct plan *plan, struct pg *target, const struct table_chunks *all,
		       struct err *e);

/* A table that is copied under one snapshot only. */
static inline bool chunks_one_generation(const struct table_plan *t)
{
	return t->chunk.nkey == 0;
}

#endif
