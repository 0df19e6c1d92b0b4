/*
 * snapshot/judge.h: is a change already in the copy?
 *
 * A change of a row in chunk c is in the copy if its transaction's commit record starts
 * before the LSN of the generation that chunk c was copied under; otherwise it must be
 * applied. An update that moves a key is a delete and an insert, each judged by its own
 * chunk. Past the highest such LSN, the consistent point, every change is applied.
 *
 *   chunk 1  --- copied under L1 --->   L1 <= commit: apply
 *   chunk 2  ------------ copied under L2 --->   L2 <= commit: apply
 *                         commit between L1 and L2: by the chunk of the row's key
 *
 * A TRUNCATE between two such LSNs takes the rows of the chunks copied before it. A row
 * that moved and is in neither copy is read again: snapshot/reread.h.
 *
 * Parts      of a transaction are applied to one target transaction; while that is open no
 *            snapshot can be had, and one that was taken before is kept. Before the consistent
 *            point a list with a later part has nothing else in it.
 *
 * Ownership  borrows options' plan and connections; changes it rewrites use the
 *            transaction's arena, but relations of its own, which live as long as it does.
 */
#ifndef PGCROSSFADE_SNAPSHOT_JUDGE_H
#define PGCROSSFADE_SNAPSHOT_JUDGE_H

#include "core/change.h"
#include "core/err.h"
#include "core/plan.h"
#include "snapshot/reread.h"

struct judge;

/* Reads the chunks from the ledger; all of them are copied. */
bool judge_create(const struct reread_options *options, struct judge **out, struct err *e);
void judge_destroy(struct judge *j); /* NULL is fine */

/*
 * Takes the changes that are in the copy out of the list, which is in commit order. The ledger is
 * asked once a table for all of it: an answer costs a look at every chunk. After a failure the
 * judge is of no use any more.
 */
bool judge_filter(struct judge *j, struct transaction *list, struct err *e);

/*
 * judge_filter() failed with ERR_RETRY for want of a snapshot in a later part of this commit_lsn;
 * 0: not so. With it as options.early another judge takes one before the first part.
 */
lsn_t judge_wants_early(const struct judge *j);

lsn_t judge_consistent_lsn(const struct judge *j);

#endif
