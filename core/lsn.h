/*
 * core/lsn.h: a byte position in WAL, written as PostgreSQL writes it: 16/B374D848.
 */
#ifndef PGCROSSFADE_CORE_LSN_H
#define PGCROSSFADE_CORE_LSN_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t lsn_t; /* 0: none */

enum { LSN_TEXT = 18 }; /* room for the longest, NUL included */

/* Writes into text and returns it. */
const char *lsn_format(lsn_t lsn, char text[LSN_TEXT]);

/* Whole string or nothing: false leaves *out alone. */
bool lsn_parse(const char *text, lsn_t *out);

#endif
