/*
 * transform/place.h: where something stands in the migration file.
 *
 * Units  lines and columns count from 1, columns in characters.
 */
#ifndef PGCROSSFADE_TRANSFORM_PLACE_H
#define PGCROSSFADE_TRANSFORM_PLACE_H

#include "core/arena.h"
#include "core/err.h"

#include <stdint.h>

struct place {
	unsigned line, column;
};

/*
 * Where the characters of a scalar's text lie. In a literal block (key: |) each line of
 * text is a line of the file, indented by indent; in any other form only the first
 * character's place is known.
 */
struct text_place {
	struct place first;
	unsigned indent;
	bool block;
};

/* The place of text[at] (bytes). */
struct place text_place_of(const struct text_place *lies, const char *text, size_t at);

/* "file:line:column" */
const char *place_text(struct arena *a, const char *file, struct place p);

/* ERR_CONFIG "file:line:column: ...". Always returns false. */
bool place_err(struct err *e, const char *file, struct place p, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
