/*
 * tests/fuzz/decoder_fuzz.h: feeds a decoder a sequence of messages and reads all it says.
 *
 * Input      messages one after another, each behind its length in four bytes, big-endian;
 *            a length past the end is cut to what is left.
 * Looks for  reads outside a message (each lies in an allocation of its size), events that
 *            point into it (it is freed before they are read), and broken promises.
 */
#ifndef PGCROSSFADE_TESTS_DECODER_FUZZ_H
#define PGCROSSFADE_TESTS_DECODER_FUZZ_H

#include "cdc/decoder.h"
#include "core/reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void promise(bool kept)
{
	if (!kept)
		abort();
}

/* A NUL among them or not: every byte is looked at. */
static inline void touch(struct bytes b)
{
	static volatile char sum;

	for (size_t i = 0; i < b.len; i++)
		sum = (char)(sum ^ b.data[i]);
}

static inline void look_at_row(const struct relation *rel, const struct row *row)
{
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		promise(row->values[i].kind <= VALUE_TEXT);
		if (row->values[i].kind == VALUE_TEXT)
			touch(row->values[i].text);
	}
}

static inline void look_at_change(const struct change *c)
{
	promise(c->kind <= CHANGE_MESSAGE);
	promise((c->relation == NULL) == (c->kind == CHANGE_MESSAGE));
	touch(c->prefix);
	touch(c->content);
	if (!c->relation)
		return;
	promise(relation_equal(c->relation, c->relation));
	if (c->kind == CHANGE_INSERT || c->kind == CHANGE_UPDATE)
		look_at_row(c->relation, &c->after);
	promise(c->has_before || c->kind != CHANGE_DELETE);
	if (c->has_before)
		look_at_row(c->relation, &c->before);
}

static inline void feed(const struct decoder_ops *ops, struct decoder *d, struct bytes msg,
			struct arena *a)
{
	struct event event;
	struct err e = ERR_INIT;
	char *exact = malloc(msg.len ? msg.len : 1);

	if (msg.len)
		memcpy(exact, msg.data, msg.len);
	bool ok = ops->decode(d, (struct bytes){ exact, msg.len }, a, &event, &e);
	free(exact);
	promise(ok || (e.kind == ERR_INPUT && e.text[0]));
	if (!ok)
		return;
	promise((event.kind == EVENT_CHANGE || event.kind == EVENT_MESSAGE) ==
		(event.changes != NULL));
	for (const struct change *c = event.changes; c; c = c->next)
		look_at_change(c);
}

static inline void feed_all(const struct decoder_ops *ops, const uint8_t *data, size_t size)
{
	struct decoder *d = ops->create();
	struct arena a = ARENA_INIT;
	struct reader r = rd_init((struct bytes){ (const char *)data, size });

	while (rd_left(&r) >= sizeof(uint32_t)) {
		size_t len = rd_u32(&r);
		size_t left = rd_left(&r);
		feed(ops, d, rd_take(&r, len < left ? len : left), &a);
	}
	arena_finish(&a);
	ops->destroy(d);
}

#endif
