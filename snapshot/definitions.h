/*
 * snapshot/definitions.h: constraints of the target that the copy cannot honour row by row.
 *
 * Chunks of different tables and generations are not one moment of the source: a child
 * may come before its parent, and two rows may hold one unique value until the stream
 * has passed the consistent point. So foreign keys, and unique constraints other than
 * the flow's key, are saved in the ledger and dropped in one transaction, and come back
 * past that point, each in one transaction with its ledger row: a crash loses none.
 *
 * While the stream runs foreign keys are deferrable: sets of rows, and a cascade at the
 * source, have another order than the checks, and only the commit must satisfy them.
 *
 * Errors     ERR_DATA: the data do not satisfy a constraint; ERR_CONFIG: not the owner.
 */
#ifndef PGCROSSFADE_SNAPSHOT_DEFINITIONS_H
#define PGCROSSFADE_SNAPSHOT_DEFINITIONS_H

#include "core/err.h"
#include "core/plan.h"

struct pg;

bool definitions_put_away(const struct plan *plan, struct pg *target, struct err *e);

/* All that are still away, unique ones first. */
bool definitions_restore(const char *migration, struct pg *target, struct err *e);

/* After the last batch: foreign keys are no more deferrable than they were at first. */
bool definitions_settle(const char *migration, struct pg *target, struct err *e);

#endif
