/*
 * cdc/timestamp.h: a timestamp with time zone, as PostgreSQL writes it in ISO style.
 */
#ifndef PGCROSSFADE_CDC_TIMESTAMP_H
#define PGCROSSFADE_CDC_TIMESTAMP_H

#include "core/bytes.h"

#include <stdint.h>

/*
 * "2026-11-22 18:42:02.964413+00" to us since 2000-01-01 UTC. Fraction of up to six
 * digits or none; offset +hh, +hh:mm or +hh:mm:ss. False leaves *out alone.
 */
bool timestamp_parse(struct bytes text, int64_t *out);

#endif
