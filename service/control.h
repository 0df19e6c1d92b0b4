/*
 * service/control.h: between steps: signs of life out, requests in.
 */
#ifndef PGCROSSFADE_SERVICE_CONTROL_H
#define PGCROSSFADE_SERVICE_CONTROL_H

#include "service/steps.h"

/* Once a second: the figures for `status`, and the on_lag_zero hook when it is time. */
bool control_beat(struct run *r, struct err *e);

/*
 * A few times a second: takes a request and does it, refuses it, or starts it.
 * *out: STEP_AGAIN, STEP_NEXT (a cutover begins), STEP_END (complete or aborted).
 */
bool control_requests(struct run *r, enum outcome *out, struct err *e);

#endif
