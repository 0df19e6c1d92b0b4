/*
 * cli/check.h: the check, for itself and ahead of a command that needs it to pass.
 */
#ifndef PGCROSSFADE_CLI_CHECK_H
#define PGCROSSFADE_CLI_CHECK_H

#include "cli/command.h"
#include "service/session.h"

/* Gets the session with its plan; gives the exit code. */
typedef int check_next(struct session *s, const struct arguments *a);

/* Prints the findings and gives the exit code, unless nothing failed and next is not NULL. */
int check_then(const struct migration *m, const struct arguments *a, check_next *next);

#endif
