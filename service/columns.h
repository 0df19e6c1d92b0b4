/*
 * service/columns.h: the columns that flows read, as they were when the migration began.
 *
 * One that was dropped and made again, that goes by another's name, that has another type or was
 * given other values by ALTER TABLE holds other values than those copied, and the stream tells
 * none of it before the next change of the table. So the ledger has what they were, see
 * pg/altered.h: they are compared at every start, once a second, and when a cutover holds the lock.
 */
#ifndef PGCROSSFADE_SERVICE_COLUMNS_H
#define PGCROSSFADE_SERVICE_COLUMNS_H

#include "service/session.h"

/* Into s->reads, of the plan. */
void columns_list(struct session *s);

/* Are they still what the ledger says? What is new and harmless is written there, and all of it
 * where it has nothing yet. */
bool columns_same(struct session *s, struct err *e);

#endif
