/*
 * sink/single.h: one change by itself, where a row was or may be refused.
 *
 * A flow that refuses its part of the change is left out, and the row is put aside for it:
 * an older version of the row stays at that flow's target, but goes where the row has
 * another key by now, unless it holds values that were not sent. The other flows of the
 * table go on.
 *
 * A change of a row that was put aside brings the whole row or puts it aside anew:
 *
 *   INSERT, UPDATE, DELETE   as the target sees it: an UPDATE of a row that is not there
 *                            is an INSERT, a DELETE only removes the reject
 *   values that were not sent are taken from the reject; those it has not either are with
 *                            the older version at the target
 *
 * Errors     ERR_DATA: refused, and it may not be put aside: there is no room, a DELETE, or
 *            values that were not sent are nowhere.
 */
#ifndef PGCROSSFADE_SINK_SINGLE_H
#define PGCROSSFADE_SINK_SINGLE_H

#include "pg/ledger_reject.h"
#include "sink/blame.h"
#include "sink/exact.h"

struct single {
	struct exact *x;
	const struct table_plan *table;
	const struct change *change;
	struct op_row row;           /* plan order */
	lsn_t lsn;                   /* the transaction's */
	const struct refusal *known; /* one that is not tried again; NULL: none */
};

/* Inside the caller's open transaction, outside a pipe. */
bool single_apply(struct single *s, struct err *e);

/* Is e a refusal that putting the row aside answers? */
bool single_may_refuse(enum op op, enum change_kind kind, const struct err *e);

/* One event of the log; single_apply() writes it but in rounds of blame, which may not last. */
void single_log(const struct plan *plan, const struct reject *r);

/* Tries a reject again. *in: it is at the target and no reject any more. */
bool single_retry(struct exact *x, const struct reject *r, bool *in, struct err *e);

#endif
