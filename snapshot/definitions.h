/*
 * snapshot/definitions.h: indexes and constraints of the target, put away for the copy.
 *
 * Indexes are faster built than kept while rows pour in. And chunks of different tables
 * and generations are not one moment of the source: a child may come before its parent,
 * and two rows may hold one unique value until the stream has passed the consistent
 * point. So they are saved in the ledger and dropped in one transaction, and come back
 * one by one, each in one transaction with its ledger row: a crash loses none.
 *
 *   after the copy            the flow's key, indexes that are not unique: several at once:
 *                             snapshot/build.h
 *   past the consistent point other unique constraints, then foreign keys (NOT VALID,
 *                             then validated)
 *   after the switch          foreign keys are as at first: snapshot/settle.h. While the
 *                             stream runs they are deferrable, because sets of rows, and a
 *                             cascade at the source, have another order than the checks;
 *                             and ON DELETE and ON UPDATE do nothing, because what they did
 *                             at the source comes as changes of its own
 *
 * Where rows may be put aside, unique ones stay in place: they must refuse the row itself.
 * Foreign keys of children whose parent was put aside wait until it is there.
 *
 * Errors     ERR_DATA: the data do not satisfy a constraint; ERR_CONFIG: not the owner.
 */
#ifndef PGCROSSFADE_SNAPSHOT_DEFINITIONS_H
#define PGCROSSFADE_SNAPSHOT_DEFINITIONS_H

#include "core/log.h"
#include "core/plan.h"
#include "pg/conn.h"

struct ledger_definition;

struct definition {
	const char *kind; /* index, key, unique, foreign key */
	const char *table, *name, *create, *drop;
	bool validate; /* a foreign key that is made again NOT VALID, then validated */
};

/*
 * What definitions_put_away would save and drop, in its order; reads only. What something
 * outside the migration rests on is among it, and stays when it comes to that.
 */
bool definitions_find(const struct plan *plan, struct pg *target, struct arena *a,
		      struct definition **out, unsigned *count, struct err *e);

bool definitions_put_away(const struct plan *plan, struct pg *target, struct err *e);

/*
 * All that are still away, in the order in which they rest on each other. wait: a foreign key
 * that rows break stays away, or not validated, until the next call; else it is an error.
 */
bool definitions_restore(const char *migration, bool wait, struct pg *target, struct err *e);

/* Is it a foreign key that still waits? */
bool definition_waits(const struct ledger_definition *d);

/* One of them, in one transaction with its ledger row. */
bool definition_restore(const char *migration, const struct ledger_definition *d, struct pg *target,
			struct err *e);

/* Of one that failed: do its rows break it, which nothing but a foreign key answers so? It
 * waits then, and the error is cleared. */
bool definition_put_off(const struct ledger_definition *d, struct err *e);

/* An event about one: its kind, table and name. */
void definition_log(enum log_level level, const char *event, const struct ledger_definition *d);

#endif
