/*
 * core/timestamp.h: dates and timestamps, from PostgreSQL's ISO text to what it stores.
 *
 * Infinities, which are the ends of the integers, and years before Christ included. What the
 * server would not print is refused: false, and *out is left alone.
 */
#ifndef PGCROSSFADE_CORE_TIMESTAMP_H
#define PGCROSSFADE_CORE_TIMESTAMP_H

#include "core/bytes.h"

#include <stdint.h>

/* "2026-11-22" to days since 2000-01-01. */
bool date_parse(struct bytes text, int32_t *out);

/* "2026-11-22 18:42:02.964413" to us since 2000-01-01; fraction of up to six digits or none. */
bool timestamp_parse(struct bytes text, int64_t *out);

/* The same in UTC, with an offset behind it: +hh, +hh:mm or +hh:mm:ss. */
bool timestamptz_parse(struct bytes text, int64_t *out);

#endif
