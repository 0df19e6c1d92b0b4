/*
 * pg/foreign.h: the foreign keys of a table, as a condition.
 *
 * Source     PostgreSQL 15, "System Catalogs", pg_constraint: conkey, confkey, conpfeqop.
 */
#ifndef PGCROSSFADE_PG_FOREIGN_H
#define PGCROSSFADE_PG_FOREIGN_H

#include "core/arena.h"
#include "pg/conn.h"

/*
 * SQL that is true of the rows, under that alias, of which at least one parent is missing; by
 * validated foreign keys alone: what is missing there was taken by this transaction.
 * table: quoted, qualified. *out NULL: the table has no such foreign key.
 */
bool foreign_missing(struct pg *pg, const char *table, const char *alias, struct arena *a,
		     const char **out, struct err *e);

#endif
