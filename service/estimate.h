/*
 * service/estimate.h: how long the copy takes at least: one chunk of the largest table, read
 * and transformed now at the source, for all of them. `check` and `plan` say the same.
 *
 * Ownership  what is found lives in the arena.
 * Units      bytes, seconds; negative: unknown, as of empty tables.
 */
#ifndef PGCROSSFADE_SERVICE_ESTIMATE_H
#define PGCROSSFADE_SERVICE_ESTIMATE_H

#include "core/plan.h"
#include "snapshot/chunks.h"
#include "transform/mapping.h"

struct copy_source {
	const struct plan *plan;
	const struct migration *migration;
	struct pg *pg; /* of the source */
	struct arena *arena;
};

struct estimate {
	struct table_cut *cuts; /* one a table of the plan */
	uint64_t bytes;         /* of all tables */
	unsigned chunks;
	const struct table_plan *sampled;
	uint64_t sampled_bytes; /* of the table, by its share of the chunks */
	double sampled_seconds;
	unsigned workers; /* that have a chunk to copy */
	double seconds;   /* of all chunks at that speed by all workers */
};

/* Reads only. */
bool estimate_copy(const struct copy_source *s, struct estimate *out, struct err *e);

#endif
