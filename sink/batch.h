/*
 * sink/batch.h: folded rows as set-based statements: per flow one list of rows for each
 * operation: rows of lookups first, then removals, children first, then the rest, parents
 * first.
 *
 * Ownership  rows borrow from the fold.
 */
#ifndef PGCROSSFADE_SINK_BATCH_H
#define PGCROSSFADE_SINK_BATCH_H

#include "sink/fold.h"
#include "sink/ops.h"

struct batch;

struct batch *batch_create(const struct plan *plan);
void batch_destroy(struct batch *b); /* NULL is fine */
void batch_reset(struct batch *b);

/* Sorts the fold's entries into the lists of their flows. */
void batch_fill(struct batch *b, const struct fold *f);

bool batch_send(struct batch *b, struct pipe *pipe, struct op_params *params, struct err *e);

#endif
