/*
 * pg/raw.h: the libpq connection inside a struct pg, for pg/ itself and for the one
 * other file that speaks the replication COPY stream.
 */
#ifndef PGCROSSFADE_PG_RAW_H
#define PGCROSSFADE_PG_RAW_H

#include <libpq-fe.h>

#include "pg/conn.h"

PGconn *pg_raw(struct pg *pg); /* borrowed */

unsigned *pg_pipes(struct pg *pg); /* begun and not finished: pg/pipe.c's */

/* Turns a failed result (or NULL: the connection's own error) into *e. False. */
bool pg_fail(struct pg *pg, const PGresult *res, struct err *e);

/* Of a COPY: its context is a line of the rows. */
bool pg_fail_copy(struct pg *pg, const PGresult *res, struct err *e);

#endif
