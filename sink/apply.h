/*
 * sink/apply.h: source transactions into the target, exactly once.
 *
 * A list of transactions is applied as one set-based target transaction with its
 * progress row in it; when a row is refused, the same transactions are applied again
 * in exact source order, each in a target transaction of its own; where rows may be put
 * aside, first all of them in one. A source transaction
 * that comes in parts is applied to one target transaction that stays open in between.
 *
 * Ahead      The target works on one list while the next one is folded and sent. That one is
 *            refused when the first is: what is committed has no gaps.
 *
 * Ownership  the applier borrows connection, plan and what is known of a transaction that is
 *            streamed again; transactions become its own.
 * Errors     ERR_DATA: the target really refuses the row that the text names.
 *            ERR_RETRY: open the connection again, read progress back, stream from there.
 *            The target transaction is rolled back in every case.
 */
#ifndef PGCROSSFADE_SINK_APPLY_H
#define PGCROSSFADE_SINK_APPLY_H

#include "core/change.h"
#include "core/err.h"
#include "core/plan.h"

struct again;
struct applier;
struct pg;
struct progress;

bool applier_create(struct pg *target, const struct plan *plan, const struct progress *at,
		    struct again *again, struct applier **out, struct err *e);
void applier_destroy(struct applier *a); /* NULL is fine */

/*
 * list: in commit order, linked by next; only the last may be a part that is not last. It
 * becomes the applier's, also after a failure. ahead: it may still be under way when this
 * returns; the list before it is not. The connection is nobody else's until then.
 */
bool applier_apply(struct applier *a, struct transaction *list, bool ahead, struct err *e);

/* Waits for what is under way. */
bool applier_settle(struct applier *a, struct err *e);
bool applier_waits(const struct applier *a);

/* How far the rejects have been tried again. */
struct retry {
	const char *target; /* flow_plan.target_name; NULL: all flows */
	int64_t after;      /* reject.id of the last one tried; 0 at first */
	bool done;          /* there is none after it */
	unsigned in, left;
};

/*
 * Tries the next few rejects again, each by itself, in a target transaction of their own.
 * Not while a transaction is open. What is refused again stays a reject.
 */
bool applier_retry(struct applier *a, struct retry *retry, struct err *e);

/* SQL with a result that marks a target transaction as pgcrossfade's own. */
const char *applier_mark(const struct applier *a);

/* Does a target transaction wait for the next part, with its locks? */
bool applier_is_open(const struct applier *a);

#endif
