/*
 * service/run.h: `pgcrossfade run`: the service that takes a migration through its phases.
 */
#ifndef PGCROSSFADE_SERVICE_RUN_H
#define PGCROSSFADE_SERVICE_RUN_H

#include "core/err.h"
#include "transform/mapping.h"

#include <signal.h>

/*
 * Runs until *stop is set, the migration is complete or aborted, or it cannot go on.
 * True: it ended as wanted. False: *e says why; what is durable stays, and a later run
 * goes on from there. Connections lost on the way are made again, with backoff.
 */
bool service_run(const struct migration *m, const volatile sig_atomic_t *stop, struct err *e);

#endif
