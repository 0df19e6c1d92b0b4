/*
 * snapshot/stage.h: a chunk whose flows join tables of the target.
 *
 *   stage_fill      the chunk's raw rows, as the snapshot has them, into a temporary table
 *   stage_lookups   rows of its lookup flows, each flow in a transaction of its own
 *   (the chunk's transaction, which reads the temporary table; see copy.c)
 *
 * Lookup rows are committed before the chunk's transaction begins: other workers need not
 * wait for its end to add the same value, and two of them cannot wait for each other. They
 * are rows that may be there without the chunk: a crash in between leaves nothing wrong.
 *
 * Errors  as pg/conn.h. No transaction is open on the target before, nor after.
 */
#ifndef PGCROSSFADE_SNAPSHOT_STAGE_H
#define PGCROSSFADE_SNAPSHOT_STAGE_H

#include "core/plan.h"
#include "pg/ledger.h"

#include <stdatomic.h>

struct stage {
	const struct plan *plan;
	const struct table_plan *table;
	const struct ledger_chunk *chunk;
	struct pg *source; /* reading under the snapshot; NULL in one database */
	struct pg *target;
	const char *snapshot;
	bool *rewritten; /* as reading_table() says, in one database */
	const atomic_bool *stop;
};

bool stage_fill(const struct stage *s, uint64_t *bytes, struct err *e);
bool stage_lookups(const struct stage *s, struct err *e);

/* Does the flow read what was staged? */
static inline bool stage_reads(const struct flow_plan *f)
{
	return f->stage != NULL;
}

#endif
