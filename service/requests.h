/*
 * service/requests.h: what a command asked for, through the ledger, is done, begun or refused.
 */
#ifndef PGCROSSFADE_SERVICE_REQUESTS_H
#define PGCROSSFADE_SERVICE_REQUESTS_H

#include "service/steps.h"

/* *out: STEP_AGAIN, STEP_NEXT (a cutover begins), STEP_END (complete or aborted). */
bool requests_answer(struct run *r, const struct request *q, enum outcome *out, struct err *e);

#endif
