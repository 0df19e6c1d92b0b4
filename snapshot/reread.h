/*
 * snapshot/reread.h: rows that the copy missed and the stream does not bring whole.
 *
 * A row whose key moves from a chunk copied late into one copied early is in neither copy.
 * The stream brings it, but not its long values that did not change. So it is read again
 * under a snapshot of its own with its LSN, as if it were a chunk of one key: from then on
 * changes of that key before that LSN are in it, whatever became of the row meanwhile.
 *
 *   chunk 1  ---- copied under L1 ---->
 *   chunk 2  --------------------------------- copied under L2 ---->
 *   the row, chunk 2                C  moves into chunk 1
 *   its new key                     |  -- in the copy of this key --> R read under R
 *
 * Which keys these are is in the ledger before the transaction C is applied; what a run
 * that died left there for transactions that were not is dropped at the next start.
 *
 * The snapshot takes a slot, and the source makes none before all transactions have ended
 * that were open when it began to: it must be there before the applier's own is open.
 *
 * Ownership  options are borrowed. Values go to the arena given.
 * Errors     ERR_RETRY: connection, no free slot. ERR_CONFIG: a key whose equal values may
 *            have several texts (numeric's zeros are seen to).
 */
#ifndef PGCROSSFADE_SNAPSHOT_REREAD_H
#define PGCROSSFADE_SNAPSHOT_REREAD_H

#include "core/change.h"
#include "core/err.h"
#include "core/plan.h"
#include "pg/conn.h"

struct reread;

struct reread_options {
	const struct plan *plan;
	struct pg_options source;
	struct pg *target; /* the applier's */
	const char *slot, *plugin;
	lsn_t applied; /* the progress row's */
	lsn_t early;   /* see judge_wants_early() */
};

bool reread_create(const struct reread_options *options, struct reread **out, struct err *e);
void reread_destroy(struct reread *r); /* NULL is fine */

/* The LSN under which a key was read, highest of one key; 0: it was not. row: plan order. */
lsn_t reread_lsn(const struct reread *r, const struct table_plan *t, const struct value *row);

/* The highest LSN of the table's keys; 0: none. */
lsn_t reread_highest(const struct reread *r, const struct table_plan *t);

/* Takes the snapshot that all rows share until reread_close(). Fine when there is one. */
bool reread_open(struct reread *r, struct err *e);
bool reread_is_open(const struct reread *r);

/*
 * Reads the row of that key, opens if need be, and takes the key into the ledger. *out in plan
 * order, columns that nobody reads NULL; NULL: there is no such row.
 */
bool reread_row(struct reread *r, const struct table_plan *t, const struct value *key,
		lsn_t commit_lsn, struct arena *a, struct value **out, struct err *e);

/* Lets go of the tables' locks and keeps the snapshot. Fine when there is none. */
bool reread_rest(struct reread *r, struct err *e);

/* Lets the snapshot go. Fine when there is none. */
void reread_close(struct reread *r);

#endif
