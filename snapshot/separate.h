/*
 * snapshot/separate.h: the rows of a chunk one by one, where the target refuses some.
 *
 * The chunk's raw rows are read again and go to the target in pages, by the statement that
 * the stream inserts with. A page that is refused is halved until the refused rows stand
 * alone: these go to the ledger (pg/ledger_reject.h), the others to the target, all in the
 * chunk's own transaction. Effort is bounded by the page, not by the chunk.
 *
 * Ownership  borrows everything for the call.
 * Errors     ERR_DATA: refused, and no more may be put aside. Anything that is no refusal of
 *            a row fails as it would elsewhere.
 */
#ifndef PGCROSSFADE_SNAPSHOT_SEPARATE_H
#define PGCROSSFADE_SNAPSHOT_SEPARATE_H

#include "core/plan.h"
#include "pg/copy.h"

struct separation {
	struct pg *source; /* in the transaction that has the snapshot; may be the target */
	struct pg *target; /* in the chunk's transaction */
	const struct plan *plan;
	const struct table_plan *table;
	const struct flow_plan *flow;
	const char *select; /* of the chunk's raw rows: flow->stored columns */
	unsigned chunk;
	lsn_t lg;
	const atomic_bool *stop;
	atomic_uint *rejected; /* rows put aside in the whole migration; counted here */
};

bool separate_rows(const struct separation *s, struct copy_count *count, struct err *e);

#endif
