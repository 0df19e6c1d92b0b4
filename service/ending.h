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

/*
 * After the switch: foreign keys are settled first, for nobody would do it later; then it drops
 * the old tables if asked (they stay frozen otherwise). ERR_NONE: somebody is in the way, and
 * nothing else was done.
 */
bool ending_complete(struct session *s, bool drop_old_tables, struct err *e);

#endif
