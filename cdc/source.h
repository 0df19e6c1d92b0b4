/*
 * cdc/source.h: where the messages of a slot come from: the replication stream, or a
 * backlog that is read by SQL until the stream can take over.
 *
 *   open ... { source_read until SOURCE_DRY, poll source_socket, source_fill } ... source_close
 *
 * Ownership  a frame's payload is the source's until the next source_read.
 * Errors     as cdc/stream.h and cdc/backlog.h say. Nothing works after an error but close.
 * Threads    one at a time.
 */
#ifndef PGCROSSFADE_CDC_SOURCE_H
#define PGCROSSFADE_CDC_SOURCE_H

#include "core/bytes.h"
#include "core/err.h"
#include "core/lsn.h"

struct source_frame {
	struct bytes payload; /* SOURCE_DATA only: one message of the plugin */
	lsn_t wal_end;        /* SOURCE_DATA: 0 if unknown; else everything before it was read */
	bool reply_wanted;    /* SOURCE_KEEPALIVE only: the server wants a status now */
};

enum source_result {
	SOURCE_DATA,
	SOURCE_KEEPALIVE,
	SOURCE_DRY,  /* nothing more has been fetched yet */
	SOURCE_OVER, /* the rest is for a stream that starts at wal_end */
	SOURCE_FAILED,
};

struct source;

struct source_ops {
	bool by_message; /* the server writes message by message: better fetched by the heap */
	int (*socket)(const struct source *);
	enum source_result (*read)(struct source *, struct source_frame *out, struct err *);
	bool (*fill)(struct source *, struct err *);
	bool (*tell)(struct source *, lsn_t received, lsn_t applied, struct err *);
	bool (*flush)(struct source *, bool *unsent, struct err *);
	void (*close)(struct source *, int timeout_ms);
};

/* The first member of what each implementation keeps. */
struct source {
	const struct source_ops *ops;
};

/* The next frame out of what source_fill has fetched. */
static inline enum source_result source_read(struct source *s, struct source_frame *out,
					     struct err *e)
{
	return s->ops->read(s, out, e);
}

static inline int source_socket(const struct source *s)
{
	return s->ops->socket(s);
}

/* Fetches what the socket has. */
static inline bool source_fill(struct source *s, struct err *e)
{
	return s->ops->fill(s, e);
}

/* Puts a status on its way: read up to received, durable up to applied. */
static inline bool source_tell(struct source *s, lsn_t received, lsn_t applied, struct err *e)
{
	return s->ops->tell(s, received, applied, e);
}

/* Sends on. *unsent: call again when the socket can be written. */
static inline bool source_flush(struct source *s, bool *unsent, struct err *e)
{
	return s->ops->flush(s, unsent, e);
}

/* Waits up to timeout_ms until the slot is free; closes in any case. NULL is fine. */
static inline void source_close(struct source *s, int timeout_ms)
{
	if (s)
		s->ops->close(s, timeout_ms);
}

#endif
