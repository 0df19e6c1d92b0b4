/*
 * transform/compile.h: a migration and both catalogs in, a plan or findings out.
 *
 * Reads only: creates nothing on either server (statements are prepared at the target
 * to let PostgreSQL judge names and types, inside a transaction that is rolled back).
 *
 * Ownership  plan and findings live in the arena.
 * Errors     false: a server could not be asked (ERR_RETRY, ERR_CONFIG). What is wrong
 *            with the migration is a finding with FINDING_FAIL, not an error.
 */
#ifndef PGCROSSFADE_TRANSFORM_COMPILE_H
#define PGCROSSFADE_TRANSFORM_COMPILE_H

#include "core/plan.h"
#include "transform/mapping.h"

struct pg;

enum finding_level { FINDING_PASS, FINDING_WARN, FINDING_FAIL };

struct finding {
	enum finding_level level;
	const char *subject; /* "flow public.a -> app.b", "source server", ... */
	const char
	    *text; /* what, why, what to do; starts with file:line:column where there is one */
	struct finding *next;
};

struct findings {
	struct finding *first, **tail;
	unsigned failures;
};

#define FINDINGS_INIT(f)                                                                           \
	{                                                                                          \
		.first = NULL, .tail = &(f).first, .failures = 0                                   \
	}

void finding_add(struct findings *f, struct arena *a, enum finding_level level, const char *subject,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* *out is NULL when findings->failures; otherwise a plan that prepares at the target. */
bool migration_compile(const struct migration *m, struct pg *source, struct pg *target,
		       struct arena *arena, struct plan **out, struct findings *findings,
		       struct err *e);

#endif
