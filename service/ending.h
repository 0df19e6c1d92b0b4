/*
 * service/ending.h: how a migration ends: abort and complete.
 *
 * Both can be entered again after a crash. Used by `run`, and by the commands themselves
 * when no run is there to do it.
 */
#ifndef PGCROSSFADE_SERVICE_ENDING_H
#define PGCROSSFADE_SERVICE_ENDING_H

#include "service/session.h"

/* Slot and publications; waits for a walsender that is still leaving. */
bool ending_drop_stream(struct session *s, struct err *e);

/*
 * Before the switch: leaves no trace. The target's tables are empty again, with all
 * their constraints; slot, publications and ledger rows are gone.
 */
bool ending_abort(struct session *s, struct err *e);

/* A complete that is under way. What it begins with: all zero but drop_old_tables. */
struct completing {
	bool drop_old_tables; /* they stay frozen otherwise */
	unsigned stage;       /* what is done of it */
	unsigned tries;       /* that failed */
	int64_t next_try_ms;  /* clock_ms() */
};

/*
 * After the switch. One try, when it is time for one: clients use the tables, so that no lock is
 * waited for long. *done false: call again in a while. Foreign keys are settled first, for nobody
 * would do it later.
 *
 * Errors     ERR_NONE: tried cutover.tries times; the text says who or what is in the way, and
 *            nothing was done that another complete does not take up.
 */
bool ending_complete(struct session *s, struct completing *c, bool *done, struct err *e);

/* Of a migration that is complete. *whole false: some foreign keys are not back, *said has which. */
bool ending_said(struct session *s, const char **said, bool *whole, struct err *e);

#endif
