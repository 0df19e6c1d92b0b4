/*
 * sink/fold.h: the changes of a batch, folded to what happened to each row in the end.
 *
 * insert+update, update+update (earlier values kept where the later is unchanged),
 * delete+insert and insert+delete of one row become one entry; an update that moves the
 * row's key is a delete and an insert. What cannot be folded without losing its order
 * (TRUNCATE, a moved row with unchanged values or with columns of the target's own, a
 * change of a table whose rows have no
 * name) says so, and the batch is applied in exact order instead.
 *
 * Ownership  entries and values borrow from the transactions and the fold's arena: keep
 *            the transactions until fold_reset.
 */
#ifndef PGCROSSFADE_SINK_FOLD_H
#define PGCROSSFADE_SINK_FOLD_H

#include "core/binding.h"

/* What became of one row. Values are in plan order. */
struct fold_entry {
	bool existed;               /* before the batch */
	bool replaced;              /* deleted and inserted again within it */
	const struct value *before; /* what the stream says of the old row; NULL unless existed */
	const struct value *after;  /* NULL: gone */
	struct fold_entry *next;    /* in order of first touch */
	struct fold_entry *chain;   /* same hash slot */
	uint64_t hash;
};

struct fold_table {
	const struct table_plan *table;
	struct fold_entry *first, **tail;
	unsigned count;
	struct fold_entry **slots;
	unsigned nslots; /* a power of two */
};

struct fold {
	struct arena arena;
	const struct plan *plan;
	struct fold_table *tables; /* plan->ntables of them */
};

struct fold *fold_create(const struct plan *plan);
void fold_destroy(struct fold *f); /* NULL is fine */
void fold_reset(struct fold *f);

enum fold_result { FOLDED, FOLD_NEEDS_ORDER, FOLD_FAILED };

/* err is set for FOLD_FAILED only. */
enum fold_result fold_add(struct fold *f, struct bindings *bindings, const struct transaction *t,
			  struct err *e);

#endif
