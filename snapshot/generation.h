/*
 * snapshot/generation.h: one exported snapshot with the LSN that matches it exactly.
 *
 * Commits whose record starts before lg are in the snapshot, others are not: the server
 * makes both together when it creates a replication slot. The snapshot can be imported
 * until generation_close, which is also the end of what it pins at the source.
 *
 *   main slot    L0 --------------------------------------------------> (kept)
 *   generation 1 L0 [import, copy, copy, copy]
 *   generation 2            L1 [import, copy, copy]      after max_age, or a restart
 *
 * Errors     ERR_RETRY: connection, no free slot, slot name still in use.
 */
#ifndef PGCROSSFADE_SNAPSHOT_GENERATION_H
#define PGCROSSFADE_SNAPSHOT_GENERATION_H

#include "pg/conn.h"

#include <stddef.h>

struct generation {
	struct pg *pg; /* the walsender that exported it; idle until closed */
	lsn_t lg;
	char *snapshot;
	int64_t opened_ms; /* clock_ms() */
};

struct generation_slot {
	const char *name, *plugin;
	bool temporary; /* false: the main slot, whose own snapshot serves the first generation */
};

/* What its connection is opened with. */
struct pg_options generation_options(const struct pg_options *source);

/* Waits for the transactions that are open at the source, and takes the connection over where it
 * succeeds. */
bool generation_make(struct pg *pg, const struct generation_slot *slot, struct generation *out,
		     struct err *e);

void generation_close(struct generation *g); /* fine when not open */

static inline bool generation_is_open(const struct generation *g)
{
	return g->pg != NULL;
}

#endif
