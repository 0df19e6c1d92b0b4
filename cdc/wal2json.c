/*
 * wal2json, format-version 2: one JSON object a message.
 *
 * The plugin names no shape of a table. A relation is made of the columns that a message
 * shows: those of the new row, then those of the identity that the new row lacks (TOAST
 * that was not sent). What no message shows is unchanged by the contract of a relation.
 *
 * Types travel as oids, which cost less than names and are always valid JSON (names of
 * types in schemas that need quoting are not). The one type that must be known is bytea,
 * whose \x the plugin drops; a domain over bytea keeps it.
 */
#include "cdc/decoder.h"

#include "cdc/option.h"
#include "cdc/relations.h"
#include "cdc/wal2json_message.h"
#include "core/buf.h"
#include "core/timestamp.h"

#include <stdlib.h>

/* What the new row and the identity say of one column; NULL: not sent. */
struct sent {
	const struct json_column *after, *before;
};

struct decoder {
	struct json_parser *parser;
	struct relations relations;
	unsigned room; /* of the two arrays: the columns of the message at hand */
	struct shape_column *columns;
	struct sent *sent;
};

/* A message whose missing or misshapen fields poison it; tested once, at the end. */
struct fields {
	const struct json_message *m;
	bool bad;
};

static struct decoder *wal2json_create(void)
{
	struct decoder *d = xcalloc(1, sizeof *d);

	d->parser = json_parser_create();
	return d;
}

static void wal2json_destroy(struct decoder *d)
{
	if (!d)
		return;
	json_parser_destroy(d->parser);
	relations_finish(&d->relations);
	free(d->columns);
	free(d->sent);
	free(d);
}

/* The plugin takes spaces, commas, dots, asterisks and more as its own unless escaped. */
static void add_name(struct buf *b, const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_";

	for (; *name; name++) {
		if (!strchr(plain, *name))
			buf_putc(b, '\\');
		buf_putc(b, *name);
	}
}

static void wal2json_options(const struct decoder_options *o, struct option_list *out)
{
	static const char *const fixed[][2] = {
		{ "format-version", "2" },      { "include-xids", "1" },
		{ "include-lsn", "1" },         { "include-timestamp", "1" },
		{ "include-transaction", "1" }, { "include-types", "0" },
		{ "include-type-oids", "1" },   { "include-pk", "0" },
	};
	struct buf tables = BUF_INIT;

	for (unsigned i = 0; i < o->ntables; i++) {
		if (i)
			buf_putc(&tables, ',');
		add_name(&tables, o->tables[i].schema);
		buf_putc(&tables, '.');
		add_name(&tables, o->tables[i].name);
	}
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		option_add(out, fixed[i][0], fixed[i][1]);
	if (o->ntables)
		option_add(out, "add-tables", buf_str(&tables));
	else /* our own progress would come back as a change to make progress of */
		option_add(out, "filter-tables", "pgcrossfade.*");
	buf_free(&tables);
}

static struct bytes field(struct fields *f, enum json_key key, enum scalar_kind kind)
{
	const struct scalar *s = &f->m->fields[key];

	if (s->kind == kind)
		return s->text;
	f->bad = true;
	return bytes_of("");
}

static lsn_t field_lsn(struct fields *f, enum json_key key)
{
	struct bytes text = field(f, key, SCALAR_STRING);
	char copy[LSN_TEXT] = "";
	lsn_t lsn = 0;

	if (text.len < sizeof copy)
		memcpy(copy, text.data, text.len);
	if (!lsn_parse(copy, &lsn))
		f->bad = true;
	return lsn;
}

static int64_t field_time(struct fields *f)
{
	int64_t time = 0;

	if (!timestamptz_parse(field(f, KEY_TIMESTAMP, SCALAR_STRING), &time))
		f->bad = true;
	return time;
}

static uint32_t field_xid(struct fields *f)
{
	struct bytes text = field(f, KEY_XID, SCALAR_NUMBER);
	uint64_t xid = 0;

	for (size_t i = 0; i < text.len && xid <= UINT32_MAX; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			f->bad = true;
		xid = xid * 10 + (uint64_t)(text.data[i] - '0');
	}
	if (xid > UINT32_MAX)
		f->bad = true;
	return (uint32_t)xid;
}

static void decode_begin(struct fields *f, struct event *out)
{
	out->kind = EVENT_BEGIN;
	out->xid = field_xid(f);
	out->commit_lsn = field_lsn(f, KEY_LSN);
	out->commit_time = field_time(f);
}

static void decode_commit(struct fields *f, struct event *out)
{
	out->kind = EVENT_COMMIT;
	out->commit_lsn = field_lsn(f, KEY_LSN);
	out->end_lsn = field_lsn(f, KEY_NEXTLSN);
	out->commit_time = field_time(f);
}

static void decode_message(struct fields *f, struct arena *a, struct event *out)
{
	struct change *c = arena_zalloc(a, sizeof *c);
	struct bytes transactional = field(f, KEY_TRANSACTIONAL, SCALAR_BOOL);

	out->kind = bytes_equal(transactional, bytes_of("t")) ? EVENT_CHANGE : EVENT_MESSAGE;
	out->changes = c;
	c->kind = CHANGE_MESSAGE;
	c->prefix = arena_copy(a, field(f, KEY_PREFIX, SCALAR_STRING));
	c->content = arena_copy(a, field(f, KEY_CONTENT, SCALAR_STRING));
}

static void check_columns(struct fields *f, const struct json_columns *list)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->items[i].name.kind != SCALAR_STRING ||
		    list->items[i].typeoid.kind != SCALAR_NUMBER ||
		    list->items[i].value.kind == SCALAR_ABSENT)
			f->bad = true;
}

static void reserve(struct decoder *d, unsigned count)
{
	if (count <= d->room)
		return;
	d->columns = xrealloc(d->columns, count * sizeof *d->columns);
	d->sent = xrealloc(d->sent, count * sizeof *d->sent);
	d->room = count;
}

/* Both lists are in the table's order, so that the next name is mostly the one after. */
static unsigned column_find(const struct decoder *d, unsigned count, unsigned from,
			    struct bytes name)
{
	for (unsigned i = from; i < count; i++)
		if (bytes_equal(d->columns[i].name, name))
			return i;
	for (unsigned i = 0; i < from && i < count; i++)
		if (bytes_equal(d->columns[i].name, name))
			return i;
	return count;
}

/* check_columns() has seen a number; one that is no oid is no type. */
static struct shape_column column_shape(const struct json_column *c, bool identity)
{
	uint32_t type = 0;

	for (size_t i = 0; i < c->typeoid.text.len && c->typeoid.text.data[i] >= '0' &&
			   c->typeoid.text.data[i] <= '9';
	     i++)
		type = type * 10 + (uint32_t)(c->typeoid.text.data[i] - '0');
	return (struct shape_column){ c->name.text, type, identity };
}

/* Fills d->columns and d->sent; returns how many. */
static unsigned merge(struct decoder *d, const struct json_message *m)
{
	unsigned count = m->columns.count, at = 0;

	reserve(d, count + m->identity.count);
	for (unsigned i = 0; i < count; i++) {
		d->columns[i] = column_shape(&m->columns.items[i], false);
		d->sent[i] = (struct sent){ &m->columns.items[i], NULL };
	}
	for (unsigned i = 0; i < m->identity.count; i++) {
		const struct json_column *old = &m->identity.items[i];
		at = column_find(d, count, at, old->name.text);
		if (at == count) {
			d->columns[count] = column_shape(old, true);
			d->sent[count++] = (struct sent){ NULL, old };
		} else if (d->sent[at].before) {
			d->columns[count] = d->columns[at]; /* a name twice: refused later */
			d->sent[count++] = (struct sent){ NULL, old };
		} else {
			d->columns[at].identity = true;
			d->sent[at].before = old;
		}
		at++;
	}
	return count;
}

static bool is_bytea(const struct json_column *c)
{
	return c->value.kind == SCALAR_STRING && bytes_equal(c->typeoid.text, bytes_of("17"));
}

static size_t text_size(const struct json_column *c)
{
	return c ? c->value.text.len + (is_bytea(c) ? 2 : 0) : 0;
}

/* Writes the text at *at and moves on. */
static struct value value_of(const struct json_column *c, char **at)
{
	if (!c)
		return (struct value){ .kind = VALUE_UNCHANGED };
	if (c->value.kind == SCALAR_NULL)
		return (struct value){ .kind = VALUE_NULL };
	char *text = *at;
	if (is_bytea(c))
		*at = mempcpy(*at, "\\x", 2);
	*at = mempcpy(*at, c->value.text.data, c->value.text.len);
	return (struct value){ VALUE_TEXT, { text, (size_t)(*at - text) } };
}

static bool has_after(enum change_kind kind)
{
	return kind == CHANGE_INSERT || kind == CHANGE_UPDATE;
}

static bool has_before(enum change_kind kind)
{
	return kind == CHANGE_UPDATE || kind == CHANGE_DELETE;
}

/* One arena piece: the change, the values of its rows, their text. */
static struct change *change_create(struct decoder *d, struct arena *a, enum change_kind kind,
				    const struct relation *rel)
{
	size_t n = rel->ncolumns, rows = (size_t)has_after(kind) + has_before(kind), texts = 0;

	for (size_t i = 0; i < n; i++)
		texts += text_size(d->sent[i].after) + text_size(d->sent[i].before);
	struct change *c = arena_alloc(a, sizeof *c + rows * n * sizeof(struct value) + texts);
	struct value *values = (struct value *)(c + 1);
	char *text = (char *)(values + rows * n);
	*c = (struct change){ .kind = kind, .relation = rel, .has_before = has_before(kind) };
	if (has_before(kind)) {
		c->before.values = values;
		for (size_t i = 0; i < n; i++)
			*values++ = value_of(d->sent[i].before, &text);
	}
	if (has_after(kind)) {
		c->after.values = values;
		for (size_t i = 0; i < n; i++)
			*values++ = value_of(d->sent[i].after, &text);
	}
	return c;
}

/* A TOAST value that did not change is what it was, where the identity says so. */
static void fill_unchanged(struct change *c)
{
	for (unsigned i = 0; i < c->relation->ncolumns; i++)
		if (c->after.values[i].kind == VALUE_UNCHANGED &&
		    c->before.values[i].kind == VALUE_TEXT)
			c->after.values[i] = c->before.values[i];
}

/* An insert has columns, a delete an identity, an update both, a truncate neither. */
static bool decode_row(struct decoder *d, struct fields *f, enum change_kind kind, struct arena *a,
		       struct event *out, struct err *e)
{
	const struct json_message *m = f->m;
	struct shape shape = { .schema = field(f, KEY_SCHEMA, SCALAR_STRING),
			       .name = field(f, KEY_TABLE, SCALAR_STRING) };

	check_columns(f, &m->columns);
	check_columns(f, &m->identity);
	if (has_after(kind) != m->columns.present || has_before(kind) != (m->identity.count > 0))
		f->bad = true;
	if (f->bad)
		return true;
	shape.ncolumns = merge(d, m);
	shape.columns = d->columns;
	const struct relation *rel = relations_intern(&d->relations, &shape, e);
	if (!rel)
		return err_wrap(e, "wal2json");
	out->kind = EVENT_CHANGE;
	out->changes = change_create(d, a, kind, rel);
	if (kind == CHANGE_UPDATE)
		fill_unchanged(out->changes);
	return true;
}

/* False only with *e set; f->bad says that fields were not as the action wants them. */
static bool decode_action(struct decoder *d, struct fields *f, struct arena *a, struct event *out,
			  struct err *e)
{
	struct bytes action = field(f, KEY_ACTION, SCALAR_STRING);

	switch (action.len == 1 ? action.data[0] : 0) {
	case 'B':
		decode_begin(f, out);
		return true;
	case 'C':
		decode_commit(f, out);
		return true;
	case 'M':
		decode_message(f, a, out);
		return true;
	case 'I':
		return decode_row(d, f, CHANGE_INSERT, a, out, e);
	case 'U':
		return decode_row(d, f, CHANGE_UPDATE, a, out, e);
	case 'D':
		return decode_row(d, f, CHANGE_DELETE, a, out, e);
	case 'T':
		return decode_row(d, f, CHANGE_TRUNCATE, a, out, e);
	default:
		f->bad = true;
		return true;
	}
}

static bool wal2json_decode(struct decoder *d, struct bytes msg, struct arena *a, struct event *out,
			    struct err *e)
{
	struct fields f = { .m = json_parse(d->parser, msg, e) };

	*out = (struct event){ .kind = EVENT_NONE };
	if (!f.m)
		return false;
	if (!decode_action(d, &f, a, out, e))
		return false;
	if (f.bad) {
		struct bytes action = f.m->fields[KEY_ACTION].text;
		return err_set(e, ERR_INPUT, "wal2json '%c': fields missing or not of their type",
			       action.len ? action.data[0] : '?');
	}
	return true;
}

const struct decoder_ops wal2json_decoder = {
	.plugin = "wal2json",
	.create = wal2json_create,
	.destroy = wal2json_destroy,
	.options = wal2json_options,
	.decode = wal2json_decode,
};
