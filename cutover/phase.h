/*
 * cutover/phase.h: the phases of a migration, as the ledger and people write them.
 *
 *   prepare -> copy -> stream -> cutover -> switched -> complete
 *                        ^          |
 *                        '----------'  any failure before the switch commits
 *
 * The commit of the switch is the point of no return: in `switched` the old tables are
 * frozen and the new ones are written.
 */
#ifndef PGCROSSFADE_CUTOVER_PHASE_H
#define PGCROSSFADE_CUTOVER_PHASE_H

#include <stdbool.h>

enum phase { PH_PREPARE, PH_COPY, PH_STREAM, PH_CUTOVER, PH_SWITCHED, PH_COMPLETE, PH_COUNT };

const char *phase_name(enum phase p);
bool phase_parse(const char *name, enum phase *out);

/* Before the switch commits, everything can be taken back. */
bool phase_before_switch(enum phase p);

#endif
