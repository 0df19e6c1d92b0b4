/*
 * cli/figures.h: sizes, counts and times as people read them.
 */
#ifndef PGCROSSFADE_CLI_FIGURES_H
#define PGCROSSFADE_CLI_FIGURES_H

#include "core/arena.h"

#include <stdint.h>

const char *figure_bytes(struct arena *a, double bytes);     /* 12 B, 3.4 MB, of 1024 */
const char *figure_count(struct arena *a, uint64_t count);   /* 1,234,567 */
const char *figure_seconds(struct arena *a, double seconds); /* 0.4 s, 2 min 5 s, 3 h 20 min */

#endif
