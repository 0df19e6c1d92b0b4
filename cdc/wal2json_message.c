#include "cdc/wal2json_message.h"

#include "cdc/relations.h"
#include "core/arena.h"

#include <stdlib.h>
#include <yajl/yajl_parse.h>

enum place { BEFORE, IN_MESSAGE, IN_COLUMNS, IN_COLUMN, AFTER };

struct json_parser {
	yajl_handle yajl; /* lives over messages: several values a handle are allowed */
	struct arena scratch;
	struct bytes text;
	enum place place;
	enum json_key key;
	struct json_columns *columns; /* the array that is open */
	struct scalar *target;        /* of a column's next scalar; NULL: read over */
	size_t end;                   /* where the object ended */
	struct json_message message;
};

static const struct {
	const char *name;
	enum json_key key;
} keys[] = {
	{ "action", KEY_ACTION },       { "xid", KEY_XID },
	{ "timestamp", KEY_TIMESTAMP }, { "lsn", KEY_LSN },
	{ "nextlsn", KEY_NEXTLSN },     { "schema", KEY_SCHEMA },
	{ "table", KEY_TABLE },         { "columns", KEY_COLUMNS },
	{ "identity", KEY_IDENTITY },   { "transactional", KEY_TRANSACTIONAL },
	{ "prefix", KEY_PREFIX },       { "content", KEY_CONTENT },
};

static enum json_key key_find(struct bytes name)
{
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (bytes_equal(name, bytes_of(keys[i].name)))
			return keys[i].key;
	return KEY_OTHER;
}

/* yajl points into the text, or into its own buffer where it took escapes out. */
static struct bytes stable(struct json_parser *p, const void *data, size_t len)
{
	const char *at = data;

	if (!len)
		return bytes_of("");
	if (at < p->text.data || at >= p->text.data + p->text.len)
		return arena_copy(&p->scratch, (struct bytes){ at, len });
	return (struct bytes){ at, len };
}

/* Callbacks: 0 stops the parse, which is then malformed. */

static int on_scalar(struct json_parser *p, enum scalar_kind kind, struct bytes text)
{
	struct scalar *target = p->place == IN_MESSAGE  ? &p->message.fields[p->key]
				: p->place == IN_COLUMN ? p->target
							: NULL;

	if (p->place != IN_MESSAGE && p->place != IN_COLUMN)
		return 0;
	if (target)
		*target = (struct scalar){ kind, text };
	return 1;
}

static int on_null(void *ctx)
{
	return on_scalar(ctx, SCALAR_NULL, bytes_of(""));
}

static int on_boolean(void *ctx, int value)
{
	return on_scalar(ctx, SCALAR_BOOL, bytes_of(value ? "t" : "f"));
}

static int on_number(void *ctx, const char *text, size_t len)
{
	return on_scalar(ctx, SCALAR_NUMBER, stable(ctx, text, len));
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	return on_scalar(ctx, SCALAR_STRING, stable(ctx, text, len));
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
	struct json_parser *p = ctx;
	struct bytes name = { (const char *)text, len };

	if (p->place == IN_MESSAGE) {
		p->key = key_find(name);
		return 1;
	}
	struct json_column *c = &p->columns->items[p->columns->count];
	p->target = bytes_equal(name, bytes_of("name"))      ? &c->name
		    : bytes_equal(name, bytes_of("typeoid")) ? &c->typeoid
		    : bytes_equal(name, bytes_of("value"))   ? &c->value
							     : NULL;
	return 1;
}

static int on_array_start(void *ctx)
{
	struct json_parser *p = ctx;

	if (p->place != IN_MESSAGE || (p->key != KEY_COLUMNS && p->key != KEY_IDENTITY))
		return 0;
	p->columns = p->key == KEY_COLUMNS ? &p->message.columns : &p->message.identity;
	if (p->columns->present)
		return 0;
	p->columns->present = true;
	p->place = IN_COLUMNS;
	return 1;
}

static int on_array_end(void *ctx)
{
	struct json_parser *p = ctx;

	p->place = IN_MESSAGE;
	return 1;
}

static int on_object_start(void *ctx)
{
	struct json_parser *p = ctx;

	if (p->place == BEFORE) {
		p->place = IN_MESSAGE;
		return 1;
	}
	if (p->place != IN_COLUMNS || p->columns->count == COLUMNS_MAX)
		return 0;
	struct json_columns *c = p->columns;
	if (c->count == c->room) {
		c->room = c->room ? c->room * 2 : 16;
		c->items = xrealloc(c->items, c->room * sizeof *c->items);
	}
	c->items[c->count] = (struct json_column){ 0 };
	p->place = IN_COLUMN;
	return 1;
}

static int on_object_end(void *ctx)
{
	struct json_parser *p = ctx;

	if (p->place == IN_COLUMN) {
		p->columns->count++;
		p->place = IN_COLUMNS;
		return 1;
	}
	p->end = yajl_get_bytes_consumed(p->yajl);
	p->place = AFTER;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object_start,
	.yajl_map_key = on_key,
	.yajl_end_map = on_object_end,
	.yajl_start_array = on_array_start,
	.yajl_end_array = on_array_end,
};

/*
 * Not validated as UTF-8: a value is what the server sent, and the content of another
 * program's message may be any bytes; neither is ours to refuse.
 */
static void yajl_make(struct json_parser *p)
{
	p->yajl = yajl_alloc(&callbacks, NULL, p);
	if (!p->yajl)
		abort();
	yajl_config(p->yajl, yajl_allow_multiple_values, 1);
	yajl_config(p->yajl, yajl_dont_validate_strings, 1);
}

struct json_parser *json_parser_create(void)
{
	struct json_parser *p = xcalloc(1, sizeof *p);

	yajl_make(p);
	return p;
}

void json_parser_destroy(struct json_parser *p)
{
	if (!p)
		return;
	yajl_free(p->yajl);
	arena_finish(&p->scratch);
	free(p->message.columns.items);
	free(p->message.identity.items);
	free(p);
}

static void start(struct json_parser *p, struct bytes text)
{
	arena_reset(&p->scratch);
	memset(p->message.fields, 0, sizeof p->message.fields);
	p->message.columns.present = p->message.identity.present = false;
	p->message.columns.count = p->message.identity.count = 0;
	p->text = text;
	p->place = BEFORE;
}

const struct json_message *json_parse(struct json_parser *p, struct bytes text, struct err *e)
{
	start(p, text);
	yajl_status status = yajl_parse(p->yajl, (const unsigned char *)text.data, text.len);
	if (status == yajl_status_ok && p->place == AFTER && p->end == text.len)
		return &p->message;
	yajl_free(p->yajl); /* it may hold half a token */
	yajl_make(p);
	err_set(e, ERR_INPUT, "wal2json: malformed %zu-byte message", text.len);
	return NULL;
}
