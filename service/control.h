/*
 * service/control.h: between steps: signs of life out, requests in.
 */
#ifndef PGCROSSFADE_SERVICE_CONTROL_H
#define PGCROSSFADE_SERVICE_CONTROL_H

#include "service/steps.h"

/*
 * Does what is due: once a second the source is looked at, and the ledger told the figures for
 * `status`, with the on_lag_zero hook when it is time; a few times a second a request is taken
 * and done, refused or begun; what is on the target's disk is asked for. While the stream runs
 * all but the last word is beside it: service/errand.h.
 *
 * *out: STEP_AGAIN, STEP_NEXT (a cutover begins), STEP_END (complete or aborted).
 */
bool control_turn(struct run *r, enum outcome *out, struct err *e);

/* Nothing is beside the run any more. What was under way is asked again when it is due. */
void control_rest(struct run *r);

#endif
