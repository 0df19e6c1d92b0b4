/*
 * cdc/decoder.h: one replication message in, at most one event out.
 *
 * Shape      msg is the payload of one XLogData frame, header removed.
 * Units      lsn: byte position in WAL; time: us since 2000-01-01 UTC.
 * Ownership  msg is borrowed for the call and may be gone after it: what *out
 *            points to is in the arena, but for relations, which the decoder
 *            keeps until it is destroyed.
 * Errors     ERR_INPUT: malformed; *out undefined, relations unchanged.
 * Threads    one decoder per connection; no locks inside.
 * Source     PostgreSQL 15, "Logical Replication Message Formats"; wal2json README,
 *            format-version 2.
 */
#ifndef PGCROSSFADE_CDC_DECODER_H
#define PGCROSSFADE_CDC_DECODER_H

#include "core/change.h"
#include "core/err.h"

enum event_kind {
	EVENT_NONE,    /* nothing to act on: RELATION, TYPE, ORIGIN */
	EVENT_BEGIN,   /* xid, commit_lsn, commit_time */
	EVENT_CHANGE,  /* changes: one, or one a table for TRUNCATE, linked by next */
	EVENT_COMMIT,  /* commit_lsn, end_lsn, commit_time */
	EVENT_MESSAGE, /* logical message outside any transaction: changes holds it */
};

struct event {
	enum event_kind kind;
	uint32_t xid;
	lsn_t commit_lsn, end_lsn;
	int64_t commit_time;
	struct change *changes;
};

struct decoder;

/* What the plugin is asked for. */
struct decoder_options {
	const char *const *publications; /* pgoutput */
	unsigned npublications;
	const struct relation *tables; /* wal2json add-tables: schema and name are read */
	unsigned ntables;              /* 0: every table but the ledger's */
};

struct option_list;

struct decoder_ops {
	const char *plugin; /* the output plugin's name on the server, and in `decoder:` */
	struct decoder *(*create)(void);
	void (*destroy)(struct decoder *); /* NULL is fine */
	/* Appends the plugin's options. */
	void (*options)(const struct decoder_options *, struct option_list *);
	bool (*decode)(struct decoder *, struct bytes msg, struct arena *, struct event *out,
		       struct err *);
};

extern const struct decoder_ops pgoutput_decoder, wal2json_decoder;

/* NULL if there is no decoder of that name */
const struct decoder_ops *decoder_find(const char *plugin);

#endif
