/*
 * cdc/wal2json_message.h: one wal2json object (format-version 2) as plain fields.
 *
 * Only the grammar is judged here: one object, scalars, and the two arrays of column
 * objects. Which fields an action must have is the decoder's to say.
 *
 * Ownership  text points into the message or, where it had escapes, into the parser's
 *            scratch: both are gone with the next message.
 * Errors     ERR_INPUT: not such an object, or bytes after it.
 * Source     wal2json README; JSON by yajl, numbers keep their lexeme.
 */
#ifndef PGCROSSFADE_CDC_WAL2JSON_MESSAGE_H
#define PGCROSSFADE_CDC_WAL2JSON_MESSAGE_H

#include "core/bytes.h"
#include "core/err.h"

enum scalar_kind { SCALAR_ABSENT, SCALAR_NULL, SCALAR_STRING, SCALAR_NUMBER, SCALAR_BOOL };

struct scalar {
	enum scalar_kind kind;
	struct bytes text; /* "t" or "f" for SCALAR_BOOL; empty for absent and null */
};

enum json_key {
	KEY_OTHER, /* scalars of later versions: read over */
	KEY_ACTION,
	KEY_XID,
	KEY_TIMESTAMP,
	KEY_LSN,
	KEY_NEXTLSN,
	KEY_SCHEMA,
	KEY_TABLE,
	KEY_COLUMNS,
	KEY_IDENTITY,
	KEY_TRANSACTIONAL,
	KEY_PREFIX,
	KEY_CONTENT,
	KEYS,
};

struct json_column {
	struct scalar name, typeoid, value;
};

struct json_columns {
	bool present;
	unsigned count, room;
	struct json_column *items;
};

struct json_message {
	struct scalar fields[KEYS];
	struct json_columns columns, identity;
};

struct json_parser;

struct json_parser *json_parser_create(void);
void json_parser_destroy(struct json_parser *p); /* NULL is fine */

/* NULL with *e set. What it returns is good until the next call. */
const struct json_message *json_parse(struct json_parser *p, struct bytes text, struct err *e);

#endif
