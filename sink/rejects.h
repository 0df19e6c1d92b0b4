/*
 * sink/rejects.h: which source rows have been put aside, in memory.
 *
 * The rows themselves are in the ledger (pg/ledger_reject.h). Here are only their hashes,
 * so that a change of such a row is noticed without asking the server: a hit may be false,
 * a miss never is.
 *
 * Ownership  the set borrows the plan.
 */
#ifndef PGCROSSFADE_SINK_REJECTS_H
#define PGCROSSFADE_SINK_REJECTS_H

#include "core/binding.h"

struct pg;
struct rejects;

struct rejects *rejects_create(const struct plan *plan);
void rejects_destroy(struct rejects *r); /* NULL is fine */

/* What the ledger has, in place of what was here. */
bool rejects_load(struct rejects *r, struct pg *target, struct err *e);

/* The same inside a transaction: after its end it must be done anew, or settled. */
bool rejects_again(struct rejects *r, struct pg *target, struct err *e);

/* Followed by a rollback it must be loaded again; a commit settles it. */
bool rejects_dirty(const struct rejects *r);
void rejects_settled(struct rejects *r);

unsigned rejects_count(const struct rejects *r);
unsigned rejects_of(const struct rejects *r, const struct table_plan *t);

/* May there be that many more, or does the migration file forbid it? */
bool rejects_room(const struct rejects *r, unsigned more);

/* May there be any now or later, so that a refusal is not the end? */
bool rejects_possible(const struct rejects *r);

void rejects_add(struct rejects *r, const struct table_plan *t, uint64_t hash);
void rejects_remove(struct rejects *r, const struct table_plan *t, uint64_t hash);
void rejects_clear(struct rejects *r, const struct table_plan *t);

/* May the change be one of a row that was put aside? row: before, or else after. */
bool rejects_touched(const struct rejects *r, const struct table_plan *t, enum change_kind kind,
		     const struct value *row);

/* The same for any change of the transaction; rows are put in order in the arena. */
bool rejects_in(const struct rejects *r, struct bindings *bindings, const struct transaction *t,
		struct arena *a);

#endif
