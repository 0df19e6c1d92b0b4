/*
 * core/binding.h: how a relation of the stream maps onto a table of the plan, by name.
 *
 * Shape      a bound row has one value for each column of the table_plan, in its order;
 *            a column that the relation does not list is VALUE_UNCHANGED.
 * Ownership  bindings live in the arena given; a row in plan order is borrowed as it is,
 *            any other is put in order in the arena.
 * Errors     ERR_CONFIG: the flow no longer fits the stream (column dropped, renamed or retyped).
 */
#ifndef PGCROSSFADE_CORE_BINDING_H
#define PGCROSSFADE_CORE_BINDING_H

#include "core/change.h"
#include "core/err.h"
#include "core/plan.h"

struct binding {
	const struct relation *relation;
	struct table_plan *table; /* NULL: the plan does not know this table */
	bool straight;            /* same columns, same order */
	int *place;               /* plan column -> relation column; -1: not listed */
	int retyped;              /* plan column that is read and has another type; -1: none */
	int missing;              /* plan column that is read and is not there any more; -1: none */
	struct binding *next;
};

/* The bindings seen so far; newest first. */
struct bindings {
	const struct plan *plan;
	struct arena *arena;
	struct binding *first;
};

const struct binding *bindings_find(struct bindings *b, const struct relation *relation);

const struct value *binding_row(const struct binding *b, const struct row *row, struct arena *a);

/* A table the plan does not know: no matter, unless the stream was asked for known ones only. */
bool binding_unknown(const struct binding *b, struct err *e);

/* Refuses a relation, or an after-image (NULL: none), that the table's flows do not fit. */
bool binding_check(const struct binding *b, enum change_kind kind, const struct value *after,
		   struct err *e);

#endif
