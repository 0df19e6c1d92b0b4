/*
 * transform/script.h: SQL of the user's that runs inside a transaction of ours.
 *
 * Ownership  the roles live in the arena.
 * Errors     false with the fault set: where in the text, and what; what to do.
 */
#ifndef PGCROSSFADE_TRANSFORM_SCRIPT_H
#define PGCROSSFADE_TRANSFORM_SCRIPT_H

#include "transform/query.h"

struct script {
	unsigned nroles; /* that it names: GRANT ... TO, OWNER TO, ALTER ROLE */
	const char **roles;
};

/* Parses text, and refuses what ends a transaction or cannot be in one. */
bool script_parse(struct arena *a, const char *text, struct script *out, struct query_fault *fault);

#endif
