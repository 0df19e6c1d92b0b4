/*
 * sink/blame.h: whose change it is that a constraint refuses at the end of a transaction.
 *
 * A deferred constraint (a foreign key while the stream runs, a deferrable unique key, a
 * constraint trigger) is looked at when all changes are there, and its error names no change.
 * But the server looks in the order in which the changes were made. So, when a transaction was
 * refused at its end, it is applied again with a mark before each statement: a row in a table
 * of the session's own, whose deferred trigger notes its number where no rollback reaches it
 * (a sequence). The last number noted is the statement at fault.
 *
 *   mark 1, insert child 7, mark 2, insert parent 7, mark 3, insert child 8; look
 *     -> 1 fires, child 7 has its parent, 2 fires, 3 fires, child 8 has none: 3 is to blame
 *
 * Exact      Every change is in place when the look is taken, so what a later change of the
 *            transaction mends is not refused: a child before its parent, a swap of unique
 *            values, a parent deleted before its children. What is blamed is put aside, and
 *            the transaction applied again without it, until the look finds nothing. A row
 *            that breaks a foreign key among all the rows breaks it among fewer: none is
 *            blamed that could have stayed. Of rows that share a unique value the one that
 *            came later is; one whose other is put aside too goes in after all (blame_end).
 * Ends       Each round puts aside at least one change more for a flow, or keeps an older
 *            version that was let go; a round that cannot fails, and stops the run.
 * Memory     A mark holds what its statement wrote, at the server; here are the refusals. They
 *            name a change by its sequence, so the transaction may come again from the stream,
 *            over another connection, in parts (sink/again.h).
 *
 * Errors     ERR_DATA: refused, and it may not be put aside (a DELETE, a lookup).
 */
#ifndef PGCROSSFADE_SINK_BLAME_H
#define PGCROSSFADE_SINK_BLAME_H

#include "sink/steps.h"

struct exact;
struct pg;

/* A flow does not take the change. */
struct refusal {
	uint32_t sequence; /* change.sequence */
	unsigned flow;     /* flow_plan.no */
	enum op op;
	bool keep; /* the older version stays at the target in any case */
	char sqlstate[6];
	char *text; /* as the server said it */
};

struct blame;

/* most: refusals that it may come to. */
struct blame *blame_create(uint64_t most);
void blame_destroy(struct blame *b); /* NULL is fine */

/* Inside the target transaction, before the savepoint that its changes are undone to. */
bool blame_begin(struct blame *b, struct pg *pg, struct err *e);

/*
 * The look was clean, and x has no marks any more. Takes them away, lets those in that stood in
 * each other's way alone, and logs who stays a reject.
 */
bool blame_end(struct blame *b, struct exact *x, struct err *e);

/* steps_send(), with marks; without them where b is NULL. */
bool blame_send(struct blame *b, const struct step_list *l, unsigned first, unsigned end,
		struct pipe *pipe, struct op_params *params, struct err *e);

/* Statements that a step is. */
unsigned blame_stride(const struct blame *b);

/* NULL: the flow (NULL: each flow) takes the change, as far as is known. */
const struct refusal *blame_refusal(const struct blame *b, const struct change *c,
				    const struct flow_plan *flow);
unsigned blame_count(const struct blame *b);

enum look { LOOK_CLEAN, LOOK_BLAMED, LOOK_FAILED };

/* BLAMED: refusals were added; what was applied since blame_begin() is to be undone. */
enum look blame_look(struct blame *b, struct exact *x, lsn_t lsn, struct err *e);

#endif
