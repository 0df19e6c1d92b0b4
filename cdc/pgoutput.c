/*
 * pgoutput, proto_version 1, text values, with logical messages. Parts of a message
 * are read in wire order.
 *
 * The hot path is one row change: one arena piece holds the change, its values and a
 * copy of the message's tail, which the values point into.
 */
#include "cdc/decoder.h"

#include "cdc/option.h"
#include "cdc/relations.h"
#include "core/buf.h"
#include "core/reader.h"
#include "pg/quote.h"

#include <stdlib.h>

struct by_oid {
	uint32_t oid;
	const struct relation *relation; /* the latest; NULL: free */
};

struct decoder {
	struct relations relations;
	struct by_oid *tables; /* open addressing */
	unsigned count, size;
};

static struct decoder *pgoutput_create(void)
{
	return xcalloc(1, sizeof(struct decoder));
}

static void pgoutput_destroy(struct decoder *d)
{
	if (!d)
		return;
	relations_finish(&d->relations);
	free(d->tables);
	free(d);
}

static void pgoutput_options(const struct decoder_options *o, struct option_list *out)
{
	struct buf names = BUF_INIT;

	for (unsigned i = 0; i < o->npublications; i++) {
		buf_puts(&names, i ? "," : "");
		buf_ident(&names, o->publications[i]);
	}
	option_add(out, "proto_version", "1");
	option_add(out, "publication_names", buf_str(&names));
	option_add(out, "messages", "true");
	buf_free(&names);
}

/* The table's place, or the free one where it would go; NULL in an empty map. */
static struct by_oid *table_find(const struct decoder *d, uint32_t oid)
{
	unsigned mask = d->size - 1;

	if (!d->size)
		return NULL;
	for (unsigned i = oid * 2654435769U & mask;; i = (i + 1) & mask)
		if (!d->tables[i].relation || d->tables[i].oid == oid)
			return &d->tables[i];
}

static void tables_grow(struct decoder *d)
{
	struct by_oid *old = d->tables;
	unsigned size = d->size;

	d->size = size ? size * 2 : 64;
	d->tables = xcalloc(d->size, sizeof *d->tables);
	for (unsigned i = 0; i < size; i++)
		if (old[i].relation)
			*table_find(d, old[i].oid) = old[i];
	free(old);
}

static void table_set(struct decoder *d, uint32_t oid, const struct relation *relation)
{
	if (d->count * 2 >= d->size)
		tables_grow(d);
	struct by_oid *table = table_find(d, oid);
	d->count += !table->relation;
	*table = (struct by_oid){ oid, relation };
}

static const struct relation *table_get(const struct decoder *d, uint32_t oid, struct err *e)
{
	const struct by_oid *table = table_find(d, oid);

	if (table && table->relation)
		return table->relation;
	err_set(e, ERR_INPUT, "pgoutput: change of unknown relation %u", oid);
	return NULL;
}

/*
 * The readers below return false only with *e set. A malformed message poisons the
 * reader or leaves bytes over, which pgoutput_decode finds for all of them.
 */
typedef bool reader_fn(struct decoder *, struct reader *, struct arena *, struct event *,
		       struct err *);

static bool read_begin(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
		       struct err *e)
{
	(void)d, (void)a, (void)e;
	out->kind = EVENT_BEGIN;
	out->commit_lsn = rd_u64(r);
	out->commit_time = (int64_t)rd_u64(r);
	out->xid = rd_u32(r);
	return true;
}

static bool read_commit(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			struct err *e)
{
	(void)d, (void)a, (void)e;
	out->kind = EVENT_COMMIT;
	rd_u8(r); /* flags, unused */
	out->commit_lsn = rd_u64(r);
	out->end_lsn = rd_u64(r);
	out->commit_time = (int64_t)rd_u64(r);
	return true;
}

static bool read_origin(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			struct err *e)
{
	(void)d, (void)a, (void)out, (void)e;
	rd_u64(r); /* commit LSN at the origin */
	rd_cstr(r);
	return true;
}

static bool read_type(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
		      struct err *e)
{
	(void)d, (void)a, (void)out, (void)e;
	rd_u32(r);  /* oid */
	rd_cstr(r); /* schema */
	rd_cstr(r); /* name */
	return true;
}

static struct shape_column *read_columns(struct reader *r, struct arena *a, unsigned n)
{
	enum { LEAST = 10 }; /* flags, empty name, type, modifier */

	if (n > rd_left(r) / LEAST) {
		r->bad = true;
		return NULL;
	}
	struct shape_column *columns = arena_array(a, n, sizeof *columns);
	for (unsigned i = 0; i < n; i++) {
		columns[i].identity = rd_u8(r) & 1;
		columns[i].name = rd_cstr(r);
		columns[i].type = rd_u32(r);
		rd_u32(r); /* modifier */
	}
	return columns;
}

static bool read_relation(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			  struct err *e)
{
	struct shape shape = { .whole = true };

	(void)out;
	uint32_t oid = rd_u32(r);
	shape.schema = rd_cstr(r);
	shape.name = rd_cstr(r);
	rd_u8(r); /* replica identity setting; the columns' flags say what it means */
	shape.ncolumns = rd_u16(r);
	shape.columns = read_columns(r, a, shape.ncolumns);
	if (!rd_done(r))
		return true;
	if (!shape.schema.len)
		shape.schema = bytes_of("pg_catalog");
	const struct relation *relation = relations_intern(&d->relations, &shape, e);
	if (!relation)
		return err_wrap(e, "pgoutput relation %u", oid);
	table_set(d, oid, relation);
	return true;
}

static void read_value(struct reader *r, struct value *v)
{
	switch (rd_u8(r)) {
	case 'n':
		*v = (struct value){ .kind = VALUE_NULL };
		break;
	case 'u':
		*v = (struct value){ .kind = VALUE_UNCHANGED };
		break;
	case 't':
		v->kind = VALUE_TEXT;
		v->text = rd_take(r, rd_u32(r));
		break;
	default: /* binary was not asked for */
		*v = (struct value){ .kind = VALUE_NULL };
		r->bad = true;
	}
}

static void read_tuple(struct reader *r, const struct relation *rel, struct row *row)
{
	if (rd_u16(r) != rel->ncolumns)
		r->bad = true;
	for (unsigned i = 0; i < rel->ncolumns && !r->bad; i++)
		read_value(r, &row->values[i]);
}

/* 'K': what stands outside the key was not sent, though the wire calls it NULL. */
static void read_old(struct reader *r, uint8_t kind, struct change *c)
{
	c->has_before = true;
	read_tuple(r, c->relation, &c->before);
	if (kind != 'K')
		return;
	for (unsigned i = 0; i < c->relation->ncolumns; i++)
		if (!c->relation->columns[i].identity)
			c->before.values[i].kind = VALUE_UNCHANGED;
}

/* A TOAST value that did not change is what it was, where the old row says so. */
static void fill_unchanged(struct change *c)
{
	for (unsigned i = 0; i < c->relation->ncolumns; i++)
		if (c->after.values[i].kind == VALUE_UNCHANGED &&
		    c->before.values[i].kind == VALUE_TEXT)
			c->after.values[i] = c->before.values[i];
}

/* Copies what is left of the message behind the values of ntuples rows; r reads the copy. */
static struct change *change_create(struct arena *a, const struct relation *rel, unsigned ntuples,
				    struct reader *r)
{
	size_t values = (size_t)rel->ncolumns * sizeof(struct value);
	size_t left = rd_left(r);
	struct change *c = arena_alloc(a, sizeof *c + ntuples * values + left);
	char *tail = (char *)(c + 1) + ntuples * values;

	*c = (struct change){ .relation = rel };
	c->after.values = (struct value *)(c + 1);
	if (ntuples > 1)
		c->before.values = c->after.values + rel->ncolumns;
	memcpy(tail, r->at, left);
	*r = rd_init((struct bytes){ tail, left });
	return c;
}

/* A count that the bytes left cannot hold allocates nothing. */
static bool tuples_fit(struct reader *r, const struct relation *rel, unsigned ntuples)
{
	if (r->bad || rd_left(r) < (size_t)ntuples * rel->ncolumns)
		r->bad = true;
	return !r->bad;
}

static bool read_insert(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			struct err *e)
{
	const struct relation *rel = table_get(d, rd_u32(r), e);

	if (!rel)
		return false;
	if (rd_u8(r) != 'N')
		r->bad = true;
	if (!tuples_fit(r, rel, 1))
		return true;
	struct change *c = change_create(a, rel, 1, r);
	c->kind = CHANGE_INSERT;
	read_tuple(r, rel, &c->after);
	out->kind = EVENT_CHANGE;
	out->changes = c;
	return true;
}

static bool read_update(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			struct err *e)
{
	const struct relation *rel = table_get(d, rd_u32(r), e);

	if (!rel)
		return false;
	uint8_t kind = rd_u8(r);
	bool old = kind == 'K' || kind == 'O';
	if (!tuples_fit(r, rel, old ? 2 : 1))
		return true;
	struct change *c = change_create(a, rel, old ? 2 : 1, r);
	c->kind = CHANGE_UPDATE;
	if (old) {
		read_old(r, kind, c);
		kind = rd_u8(r);
	}
	if (kind != 'N')
		r->bad = true;
	read_tuple(r, rel, &c->after);
	if (old && !r->bad)
		fill_unchanged(c);
	out->kind = EVENT_CHANGE;
	out->changes = c;
	return true;
}

static bool read_delete(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			struct err *e)
{
	const struct relation *rel = table_get(d, rd_u32(r), e);

	if (!rel)
		return false;
	uint8_t kind = rd_u8(r);
	if (kind != 'K' && kind != 'O')
		r->bad = true;
	if (!tuples_fit(r, rel, 1))
		return true;
	struct change *c = change_create(a, rel, 1, r);
	c->kind = CHANGE_DELETE;
	c->before = c->after;
	c->after.values = NULL;
	read_old(r, kind, c);
	out->kind = EVENT_CHANGE;
	out->changes = c;
	return true;
}

static bool read_truncate(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			  struct err *e)
{
	uint32_t n = rd_u32(r);
	struct change **tail = &out->changes;

	rd_u8(r); /* CASCADE, RESTART IDENTITY: the tables that it reached are all named */
	if (n > rd_left(r) / sizeof(uint32_t))
		r->bad = true;
	for (uint32_t i = 0; i < n && !r->bad; i++) {
		const struct relation *rel = table_get(d, rd_u32(r), e);
		if (!rel)
			return false;
		*tail = arena_zalloc(a, sizeof **tail);
		**tail = (struct change){ .kind = CHANGE_TRUNCATE, .relation = rel };
		tail = &(*tail)->next;
	}
	out->kind = n ? EVENT_CHANGE : EVENT_NONE;
	return true;
}

static bool read_message(struct decoder *d, struct reader *r, struct arena *a, struct event *out,
			 struct err *e)
{
	struct change *c = arena_zalloc(a, sizeof *c);

	(void)d, (void)e;
	out->kind = rd_u8(r) & 1 ? EVENT_CHANGE : EVENT_MESSAGE; /* bit 0: transactional */
	out->changes = c;
	rd_u64(r); /* LSN */
	c->kind = CHANGE_MESSAGE;
	c->prefix = arena_copy(a, rd_cstr(r));
	c->content = arena_copy(a, rd_take(r, rd_u32(r)));
	return true;
}

static reader_fn *reader_of(uint8_t kind)
{
	switch (kind) {
	case 'B':
		return read_begin;
	case 'C':
		return read_commit;
	case 'R':
		return read_relation;
	case 'Y':
		return read_type;
	case 'O':
		return read_origin;
	case 'I':
		return read_insert;
	case 'U':
		return read_update;
	case 'D':
		return read_delete;
	case 'T':
		return read_truncate;
	case 'M':
		return read_message;
	default:
		return NULL;
	}
}

static bool pgoutput_decode(struct decoder *d, struct bytes msg, struct arena *a, struct event *out,
			    struct err *e)
{
	struct reader r = rd_init(msg);
	uint8_t kind = rd_u8(&r);
	reader_fn *read = reader_of(kind);

	*out = (struct event){ .kind = EVENT_NONE };
	if (!read)
		return err_set(e, ERR_INPUT, "pgoutput: unknown message 0x%02x of %zu bytes", kind,
			       msg.len);
	if (!read(d, &r, a, out, e))
		return false;
	if (!rd_done(&r))
		return err_set(e, ERR_INPUT, "pgoutput '%c': malformed %zu-byte message", kind,
			       msg.len);
	return true;
}

const struct decoder_ops pgoutput_decoder = {
	.plugin = "pgoutput",
	.create = pgoutput_create,
	.destroy = pgoutput_destroy,
	.options = pgoutput_options,
	.decode = pgoutput_decode,
};
