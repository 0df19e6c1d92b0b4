/*
 * pg/copy.h: rows from COPY ... TO STDOUT on one connection into COPY ... FROM STDIN on
 * another, as they come.
 *
 * Errors     the side that failed is named; the other one is ended, and both connections
 *            can be used again unless lost. The caller rolls back.
 * Threads    cancel is looked at between rows; set by any thread.
 */
#ifndef PGCROSSFADE_PG_COPY_H
#define PGCROSSFADE_PG_COPY_H

#include "pg/conn.h"

#include <stdatomic.h>

struct copy_count {
	uint64_t rows, bytes;
};

/* Reads them, and throws them away. */
bool pg_copy_count(struct pg *from, const char *out_sql, struct copy_count *count, struct err *e);

bool pg_copy_rows(struct pg *from, const char *out_sql, struct pg *to, const char *in_sql,
		  const atomic_bool *cancel, struct copy_count *count, struct err *e);

#endif
