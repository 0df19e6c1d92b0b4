/*
 * sink/durable.h: from "committed at the target" to "on disk there", which is what the
 * source may be told.
 *
 * With synchronous_commit = off a commit returns before its WAL is on disk. A crash of the
 * target then takes the last commits back, data and progress row together; the source's
 * slot still has them as long as it was not told more than what is on disk.
 *
 *   commit E1 . E2 . E3     mark: E3, target's WAL ends at W
 *            later:         target's WAL is on disk up to W or more -> E3 is durable
 *            much later:    a durable commit of our own makes it so
 *
 * Units      positions of the source in, positions of the source out.
 * Errors     as pg/conn.h.
 */
#ifndef PGCROSSFADE_SINK_DURABLE_H
#define PGCROSSFADE_SINK_DURABLE_H

#include "pg/flush.h"

struct durable {
	struct pg *force; /* borrowed; a connection that is in no transaction */
	const char *mark;
	bool later;               /* commits do not wait for the disk */
	lsn_t committed;          /* source position that is committed at the target */
	lsn_t marked, wanted;     /* source position; durable once the target's WAL is here */
	lsn_t durable;            /* source position that is on disk at the target */
	lsn_t asked;              /* source position; committed when the last look was due */
	int64_t looked, since_ms; /* when that was; when the mark was set */
};

/* Everything of the source up to end is committed at the target. */
void durable_committed(struct durable *d, lsn_t end);

/* Is it time to look? The answer, whenever it comes, is for durable_looked(). */
bool durable_due(struct durable *d);

/* now: what flush_look() found after durable_due(). d->durable moves. */
bool durable_looked(struct durable *d, const struct flush *now, struct err *e);

/* Now: on return everything committed is durable. */
bool durable_force(struct durable *d, struct err *e);

#endif
