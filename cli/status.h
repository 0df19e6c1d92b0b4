/*
 * cli/status.h: an overview in three forms.
 */
#ifndef PGCROSSFADE_CLI_STATUS_H
#define PGCROSSFADE_CLI_STATUS_H

#include "service/overview.h"

/* For a person, some lines. */
void status_print_text(const struct overview *v, struct arena *a);

/* One line, key=value. */
void status_print_line(const struct overview *v, struct arena *a);

/* One document; pretty false: on one line. */
void status_print_json(const struct overview *v, bool pretty);

#endif
