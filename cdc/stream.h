/*
 * cdc/stream.h: the replication COPY stream of one slot, without blocking once it runs.
 *
 *   stream_open ... { stream_read until STREAM_DRY, poll stream_socket, stream_fill } ...
 *   stream_close
 *
 * Ownership  a frame's payload is the stream's until the next stream_read.
 * Errors     ERR_RETRY: the slot is in use, the connection is lost, the server goes away;
 *            else as the server's SQLSTATE says. Nothing works after an error but close.
 * Threads    one at a time.
 * Source     PostgreSQL 15, "Streaming Replication Protocol".
 */
#ifndef PGCROSSFADE_CDC_STREAM_H
#define PGCROSSFADE_CDC_STREAM_H

#include "core/bytes.h"
#include "core/err.h"
#include "core/lsn.h"

struct stream;

struct stream_options {
	const char *conninfo, *application;
	const char *slot;
	lsn_t start;
	const char *plugin_options; /* in parentheses */
};

struct stream_frame {
	struct bytes payload; /* STREAM_DATA only: one message of the plugin */
	lsn_t wal_end;
	bool reply_wanted; /* STREAM_KEEPALIVE only: the server wants a status now */
};

enum stream_result { STREAM_DATA, STREAM_KEEPALIVE, STREAM_DRY, STREAM_FAILED };

/* Blocks until the stream runs or is refused. */
bool stream_open(const struct stream_options *options, struct stream **out, struct err *e);

int stream_socket(const struct stream *s);

/* The next frame out of what stream_fill has fetched; STREAM_DRY when there is none. */
enum stream_result stream_read(struct stream *s, struct stream_frame *out, struct err *e);

/* Fetches what the socket has. */
bool stream_fill(struct stream *s, struct err *e);

/* Puts a standby status on its way: written up to received, durable up to applied. */
bool stream_send_status(struct stream *s, lsn_t received, lsn_t applied, struct err *e);

/* Sends on. *unsent: call again when the socket can be written. */
bool stream_flush(struct stream *s, bool *unsent, struct err *e);

/*
 * Ends the COPY and waits up to timeout_ms for the server to say so, after which the slot
 * is free; then closes the connection in any case. NULL is fine.
 */
void stream_close(struct stream *s, int timeout_ms);

#endif
