/*
 * transform/finding.h: what a check found, one line each.
 *
 * Shape      a message is written in one piece, "what, why; what to do": the first "; " of
 *            the format parts the two (of the text, where the format has none). It ends
 *            up on one line whatever a server said.
 * Ownership  findings live in the arena given.
 */
#ifndef PGCROSSFADE_TRANSFORM_FINDING_H
#define PGCROSSFADE_TRANSFORM_FINDING_H

#include "transform/place.h"

#include <stdarg.h>

enum finding_level { FINDING_PASS, FINDING_WARN, FINDING_FAIL };

struct finding {
	enum finding_level level;
	const char *subject; /* "flow public.a -> app.b", "source server", ... */
	const char *place;   /* file:line:column, or NULL */
	const char *text;    /* what, and why */
	const char *cure;    /* what to do, or NULL */
	struct finding *next;
};

struct findings {
	struct finding *first, **tail;
	unsigned failures, warnings;
};

#define FINDINGS_INIT(f)                                                                           \
	{                                                                                          \
		.first = NULL, .tail = &(f).first, .failures = 0, .warnings = 0                    \
	}

/* place NULL: none. The subject is borrowed. */
void finding_vadd(struct findings *f, struct arena *a, enum finding_level level,
		  const char *subject, const char *place, const char *fmt, va_list args);

void finding_add(struct findings *f, struct arena *a, enum finding_level level, const char *subject,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* "place: text; cure" */
const char *finding_text(struct arena *a, const struct finding *f);

/* "pass", "warn" or "fail" */
const char *finding_level_name(enum finding_level level);

#endif
