/*
 * pg/attached.h: did a table bring rows when it became a partition?
 *
 * pgoutput publishes the rows of a partition from the command on that makes it one. A table that
 * is made, filled and attached in one transaction had its rows written before: they are missing
 * in the stream, though the transaction is in it.
 *
 *   made and attached by one transaction   its commands are numbered: a row that one between the
 *                                          two wrote was there before the attach
 *   made by another, or not to be told     only a table that never held a row brought none
 *
 * A row whose xmax is set may have lost its number, and counts; so does one of a table that was
 * written anew. A later transaction's number may lie between the two by chance: told to have
 * brought rows although it did not, never otherwise.
 */
#ifndef PGCROSSFADE_PG_ATTACHED_H
#define PGCROSSFADE_PG_ATTACHED_H

#include "pg/conn.h"

enum brought {
	BROUGHT_NONE,
	BROUGHT_ROWS,
	BROUGHT_UNTOLD, /* somebody holds it locked: ask again */
};

struct attached {
	const char *name;            /* as regclass writes it */
	const char *made, *attached; /* numbers of the commands; made NULL: not to be told */
};

/* Waits for a lock that somebody holds on it for a moment only. */
bool attached_rows(struct pg *source, const struct attached *t, enum brought *out, struct err *e);

#endif
