/*
 * service/unchanged.h: what has to stay at the source as it was when the migration began.
 *
 * Tables, columns and publications are compared at every start, once a second, and when a cutover
 * holds the lock: what a change of them does, the stream does not tell.
 *
 *   publications  publish what they were made to
 *   tables        are those that the publications were made for: one that was renamed, or dropped
 *                 and made again, is no longer followed under its name. One with an inheritance
 *                 child shows rows that its flows do not read
 *   columns       that flows read hold the values that were copied, see pg/altered.h
 *   partitions    see service/partitions.h
 *
 * Errors     ERR_CONFIG: it is not so.
 */
#ifndef PGCROSSFADE_SERVICE_UNCHANGED_H
#define PGCROSSFADE_SERVICE_UNCHANGED_H

#include "service/session.h"

/* All of it. *told: see partitions_check(). */
bool unchanged(struct session *s, bool *told, struct err *e);

/* All but the partitions. */
bool unchanged_tables(struct session *s, struct err *e);

/* Of the ledger. What is new and harmless is written there, and all where it has nothing yet. */
bool unchanged_columns(struct session *s, struct err *e);

#endif
