/*
 * snapshot/build.h: what comes back right after the copy, several at once.
 *
 * The flow's keys and the indexes that are not unique, those of the largest table first so
 * that none is left alone at the end; and ANALYZE of each target table as soon as its last
 * index is there. With as many indexes as builders a build does without parallel workers:
 * the builders are the parallelism.
 *
 * Ownership  the builder borrows plan and options until builder_destroy.
 * Errors     as snapshot/definitions.h. What is not built stays away; a restart goes on.
 */
#ifndef PGCROSSFADE_SNAPSHOT_BUILD_H
#define PGCROSSFADE_SNAPSHOT_BUILD_H

#include "core/crew.h"
#include "core/plan.h"
#include "pg/conn.h"

struct builder;

struct build_options {
	const struct plan *plan;
	struct pg_options target;
	unsigned jobs;
};

/* ledger: an idle connection to the target, to read what there is to do. */
bool builder_start(const struct build_options *o, struct pg *ledger, struct builder **out,
		   struct err *e);

/* Waits up to timeout_ms for the builders to end. */
enum crew_state builder_wait(struct builder *b, int timeout_ms, struct err *e);

/* Cancels what runs. NULL is fine. */
void builder_destroy(struct builder *b);

#endif
