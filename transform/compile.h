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

/* *out is NULL when findings->failures; otherwise a plan that prepares at the target. */
bool migration_compile(const struct migration *m, struct pg *source, struct pg *target,
		       struct arena *arena, struct plan **out, struct findings *findings,
		       struct err *e);

#endif
