/*
 * cdc/stream.h: the replication COPY stream of one slot, without blocking once it runs.
 *
 * Closing ends the COPY and waits for the server to say so, after which the slot is free.
 *
 * Errors     ERR_CONFIG: the source does not go on from where the target stands.
 *            ERR_RETRY: the slot is in use, the connection is lost, the server goes away;
 *            else as the server's SQLSTATE says.
 * Source     PostgreSQL 15, "Streaming Replication Protocol".
 */
#ifndef PGCROSSFADE_CDC_STREAM_H
#define PGCROSSFADE_CDC_STREAM_H

#include "cdc/source.h"
#include "pg/continuity.h"

struct stream_options {
	const char *conninfo, *application;
	const char *slot;
	struct continuity continuity; /* checked before it starts */
	lsn_t start;
	const char *plugin_options; /* in form OPTION_REPLICATION */
};

/* Blocks until the stream runs or is refused. */
bool stream_open(const struct stream_options *options, struct source **out, struct err *e);

#endif
