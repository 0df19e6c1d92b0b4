/*
 * cutover/hooks.h: what the outside hears of a transition: NOTIFY, and a command.
 *
 * The command runs in /bin/sh with PGCROSSFADE_MIGRATION and PGCROSSFADE_EVENT in its
 * environment; its standard output goes to standard error. The notification goes out on
 * channel pgcrossfade of the target as {"migration": ..., "event": ...}.
 *
 * Errors     ERR_CONFIG: the command ended with another status than 0, or ran longer than
 *            a minute and was ended.
 */
#ifndef PGCROSSFADE_CUTOVER_HOOKS_H
#define PGCROSSFADE_CUTOVER_HOOKS_H

#include "core/err.h"
#include "transform/mapping.h"

struct pg;

/* A notification that cannot be sent is logged, not an error. */
bool hook_run(const struct migration *m, enum hook hook, struct pg *target, struct err *e);

#endif
