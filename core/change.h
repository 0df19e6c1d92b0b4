/*
 * core/change.h: the plain data that flows: relation, value, row, change, transaction.
 *
 * Self-contained: names, values and positions only, no pointer into a connection
 * or a catalog, so a change can leave the process and come back equal.
 *
 * Ownership  a transaction and all it points to live in its own arena, but for
 *            relations: those belong to the decoder that made them, which keeps
 *            every version it ever handed out until it is destroyed.
 */
#ifndef PGCROSSFADE_CORE_CHANGE_H
#define PGCROSSFADE_CORE_CHANGE_H

#include "core/arena.h"
#include "core/bytes.h"
#include "core/lsn.h"

#include <stdint.h>

enum value_kind {
	VALUE_NULL,
	VALUE_UNCHANGED, /* TOAST that was not sent: the row keeps what it had */
	VALUE_TEXT,
};

struct value {
	enum value_kind kind;
	struct bytes text; /* VALUE_TEXT only; the type's output form, UTF-8 */
};

struct column {
	const char *name;
	uint32_t type; /* pg_type.oid at the source */
	bool identity; /* part of the replica identity; wal2json does not say so of an insert */
};

/*
 * One shape of one source table, as one message shows it: columns are found by name,
 * names are distinct. A column of the source table that the relation does not list is
 * unchanged (wal2json leaves out what it does not send). Shapes that are equal share one.
 */
struct relation {
	const char *schema, *name;
	bool whole; /* lists every column of the table, and only published tables come */
	unsigned ncolumns;
	const struct column *columns;
};

/* values[i] belongs to relation->columns[i] */
struct row {
	struct value *values;
};

enum change_kind {
	CHANGE_INSERT,   /* after */
	CHANGE_UPDATE,   /* after; before when the stream sent it */
	CHANGE_DELETE,   /* before */
	CHANGE_TRUNCATE, /* relation; one change a table; before: see below */
	CHANGE_MESSAGE,  /* logical message: prefix, content */
};

/*
 * A TRUNCATE with before is of the rows only that were copied under an LSN up to that one,
 * which is before's only value. snapshot/judge.h makes it so.
 *
 * before: what the replica identity holds of the old row. Columns outside the
 * identity are VALUE_UNCHANGED there (not sent), never VALUE_NULL.
 */
struct change {
	enum change_kind kind;
	bool has_before;
	uint32_t
	    sequence; /* place in its transaction, from 0; with commit_lsn it names the event */
	const struct relation *relation; /* NULL for a message */
	struct row before, after;
	struct bytes prefix, content; /* CHANGE_MESSAGE only */
	struct change *next;
};

/*
 * A source transaction, or one part of it when it is larger than the stream's
 * budget. Parts arrive in order with nothing between them: first is set on the
 * first, last on the last, both on a whole one.
 */
struct transaction {
	struct arena arena;
	bool first, last;
	uint32_t xid;
	lsn_t commit_lsn;    /* start of the commit record; orders transactions */
	lsn_t end_lsn;       /* first byte after the commit record; 0 until last */
	int64_t commit_time; /* us since 2000-01-01 UTC */
	uint32_t nchanges;   /* of rows: logical messages are not counted */
	struct change *changes, **tail;
	struct transaction *next; /* for whoever holds it in a queue */
};

struct transaction *transaction_create(void);
void transaction_destroy(struct transaction *t);         /* NULL is fine */
void transaction_destroy_all(struct transaction *first); /* and those that follow by next */
void transaction_append(struct transaction *t, struct change *c);

/* Bytes of memory it holds. */
size_t transaction_size(const struct transaction *t);

/*
 * Of those columns' values: rows that are equal in them have one hash. It is kept in the
 * ledger, so it must not change. Values that were not sent count as such.
 */
uint64_t values_hash(const struct value *row, const unsigned *columns, unsigned count);

/* The same table and the same columns in the same order. */
bool relation_equal(const struct relation *a, const struct relation *b);

#endif
