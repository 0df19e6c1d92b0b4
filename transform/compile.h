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
#include "transform/finding.h"
#include "transform/mapping.h"

struct pg;

/*
 * Of a migration that the ledger does not know: what one of that name left at the source would be
 * taken for its own. ERR_CONFIG: there is something.
 */
bool migration_is_new(struct pg *source, const char *name, struct arena *a, struct err *e);

/* *out is NULL when findings->failures; otherwise a plan that prepares at the target. */
bool migration_compile(const struct migration *m, struct pg *source, struct pg *target,
		       struct arena *arena, struct plan **out, struct findings *findings,
		       struct err *e);

struct copy_time {
	uint64_t bytes;
	double seconds;
	unsigned workers;
};

/* What `check` looks at beyond that, when the rest has passed: it takes time. */
struct check_options {
	int64_t data_ms; /* to try the flows on the data; 0: not at all */
	/* how much is copied and how long that takes; seconds below 0: unknown */
	bool (*estimate)(void *context, const struct plan *, struct copy_time *, struct err *);
	void *context;
	struct plan **plan; /* as migration_compile has *out */
};

/*
 * The same with the data, a slot by the decoder, and what goes on at the source right now. A
 * temporary slot is all that is ever made, and it is dropped at once.
 */
bool migration_check(const struct migration *m, struct pg *source, struct pg *target,
		     struct arena *arena, const struct check_options *options,
		     struct findings *findings, struct err *e);

#endif
