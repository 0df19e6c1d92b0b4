/*
 * service/columns.h: the columns that flows read, as they were when the migration began.
 *
 * A column that was dropped and made again, that goes by another's name, or that has another type
 * holds other values than those copied, and the stream tells none of it before the next change of
 * the table. So the ledger has their numbers and types: they are compared at every start, once a
 * second, and when a cutover holds the lock.
 */
#ifndef PGCROSSFADE_SERVICE_COLUMNS_H
#define PGCROSSFADE_SERVICE_COLUMNS_H

#include "service/session.h"

/* Into s->columns. known: what the ledger has of them; NULL: nothing, and it is written there. */
bool columns_settle(struct session *s, const char *known, struct err *e);

/* Are they still what s->columns says? NULL there: not known yet, so true. */
bool columns_same(struct session *s, struct err *e);

#endif
