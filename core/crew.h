/*
 * core/crew.h: a few threads that work on one thing until it is done or one of them fails.
 *
 * Ownership  the crew borrows arg until crew_destroy.
 * Errors     the first worker's failure counts and stops the others.
 * Threads    its own workers; the functions here are for one caller.
 */
#ifndef PGCROSSFADE_CORE_CREW_H
#define PGCROSSFADE_CORE_CREW_H

#include "core/err.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Returns when there is nothing left for it, or soon after *stop is set. */
typedef bool crew_work(void *arg, unsigned worker, const atomic_bool *stop, struct err *e);

struct crew;

bool crew_start(unsigned workers, crew_work *work, void *arg, struct crew **out, struct err *e);

enum crew_state { CREW_RUNNING, CREW_ENDED, CREW_FAILED };

/* Waits up to timeout_ms for all to end. err is set for CREW_FAILED. */
enum crew_state crew_wait(struct crew *c, int timeout_ms, struct err *e);

/* Asks them to stop; what blocks a worker elsewhere is the caller's to end. NULL is fine. */
void crew_stop(struct crew *c);

/* Stops and joins them. NULL is fine. */
void crew_destroy(struct crew *c);

#endif
