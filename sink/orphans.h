/*
 * sink/orphans.h: older versions of rows that were put aside, whose parent is gone.
 *
 * The target keeps the older version of a row that it refused. What that version refers to may
 * be deleted at the source, where nothing refers to it any more:
 *
 *   child 7 of parent 5; child 7 goes to parent 6, which the target refuses; parent 5 goes
 *     -> the target cannot give up parent 5 while it has child 7 as it was
 *
 * So the older version goes. Its row stays a reject, of which the target has nothing now.
 */
#ifndef PGCROSSFADE_SINK_ORPHANS_H
#define PGCROSSFADE_SINK_ORPHANS_H

#include "sink/exact.h"

/*
 * Inside the target transaction, at the end of a source transaction, outside a pipe. *count: how
 * many went. Those stay that hold values which were not sent, or that the target does not give up.
 */
bool orphans_let_go(struct exact *x, unsigned *count, struct err *e);

#endif
