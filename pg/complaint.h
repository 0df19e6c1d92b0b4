/*
 * pg/complaint.h: what a server says of a failed statement, without the rows it is about.
 *
 * Errors go to logs, to `status` and to the ledger, and rows are nobody's to read there. Left
 * out are a failing row in full (NOT NULL, CHECK, a partition's bounds, a view's check option)
 * and a COPY's line. What is said of a key, and the one value that a cast refuses, stays: they
 * are how a person finds the row.
 *
 * The texts are in the server's language, so what is left out is known by SQLSTATE and place.
 */
#ifndef PGCROSSFADE_PG_COMPLAINT_H
#define PGCROSSFADE_PG_COMPLAINT_H

#include "core/buf.h"

#include <libpq-fe.h>
#include <stdbool.h>

/* "duplicate key ...; Key (id)=(1) already exists.; hint: ..." */
void complaint_put(const PGresult *res, bool copying, struct buf *text);

#endif
