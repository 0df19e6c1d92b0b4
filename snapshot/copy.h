/*
 * snapshot/copy.h: workers that copy the chunks of one generation.
 *
 * Each worker takes the next chunk, copies it for every flow of its table, and commits
 * rows and ledger row together. Tables that need one generation come first; once the
 * generation is old, no further chunk of another table is begun, and what is left waits
 * for the next generation. Work done is never redone.
 *
 * A table that was rewritten since the snapshot cannot be read under it any more: snapshot/
 * reading.h. That fails with ERR_RETRY, for the next generation.
 *
 * A chunk's commit does not wait for the disk. A crash of the target may take the last ones
 * back, rows and ledger row together, as if they had not been copied yet, and the run reads
 * the ledger again since its connections are gone. What follows the copy is safe all the
 * same: the commit that ends the phase waits for the disk, and the WAL of all chunks lies
 * before it; it goes over a connection older than the first chunk, so that no crash can have
 * come between unseen. Until then nothing is confirmed to the source.
 *
 * Ownership  the copier borrows options, plan and generation until copier_destroy.
 * Threads    its own workers; the functions here are for one caller.
 */
#ifndef PGCROSSFADE_SNAPSHOT_COPY_H
#define PGCROSSFADE_SNAPSHOT_COPY_H

#include "core/crew.h"
#include "snapshot/chunks.h"
#include "snapshot/generation.h"

struct copy_options {
	const struct plan *plan;
	struct pg_options source, target;
	unsigned jobs;
	int64_t max_age_ms;
	const struct generation *generation;
	unsigned rejected;           /* rows put aside so far, as the ledger says */
	struct table_chunks *tables; /* plan->ntables; marked: chunks copied, tables rewritten */
};

struct copier;

bool copier_start(const struct copy_options *options, struct copier **out, struct err *e);

/* Waits up to timeout_ms for the workers to end. */
enum crew_state copier_wait(struct copier *c, int timeout_ms, struct err *e);

/* Cancels what runs, joins the workers. NULL is fine. */
void copier_destroy(struct copier *c);

/* Chunks not copied yet; only while no copier runs. */
unsigned chunks_left(const struct plan *plan, const struct table_chunks *tables);

#endif
