/*
 * tests/unit/decoder_rows.h: a row is a test of a decoder.
 *
 * Each row decodes setup (messages before it), then input, and compares the event's text
 * form; expected NULL is ERR_INPUT. Then every strict prefix of input must fail too. Each
 * message is given in an allocation of exactly its size that is freed before the event is
 * looked at, so that the address sanitizer sees an overread and a borrowed pointer.
 *
 * Text form  insert public.t(id*,note) new '1'|NULL       * identity, ~ unchanged
 */
#ifndef PGCROSSFADE_TESTS_DECODER_ROWS_H
#define PGCROSSFADE_TESTS_DECODER_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cdc/decoder.h"
#include "core/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW_SETUP = 4 };

struct decoder_row {
	const char *name;
	const char *setup[ROW_SETUP]; /* NULL ends it */
	const char *input;
	const char *expected;
};

/* What a test file brings. */
struct decoder_case {
	const struct decoder_ops *ops;
	void (*bytes)(const char *text, struct buf *out); /* a row's text as message bytes */
};

static inline void text_values(struct buf *b, const char *label, const struct relation *rel,
			       const struct row *row)
{
	buf_printf(b, " %s", label);
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		const struct value *v = &row->values[i];
		buf_putc(b, i ? '|' : ' ');
		if (v->kind == VALUE_TEXT)
			buf_printf(b, "'%.*s'", (int)v->text.len, v->text.data);
		else
			buf_puts(b, v->kind == VALUE_NULL ? "NULL" : "~");
	}
}

static inline void text_relation(struct buf *b, const struct relation *rel)
{
	buf_printf(b, "%s.%s(", rel->schema, rel->name);
	for (unsigned i = 0; i < rel->ncolumns; i++)
		buf_printf(b, "%s%s%s", i ? "," : "", rel->columns[i].name,
			   rel->columns[i].identity ? "*" : "");
	buf_putc(b, ')');
}

static inline void text_change(struct buf *b, const struct change *c)
{
	static const char *const verbs[] = { "insert ", "update ", "delete ", "truncate ",
					     "message " };

	buf_puts(b, verbs[c->kind]);
	if (c->kind == CHANGE_MESSAGE) {
		buf_printf(b, "%.*s '%.*s'", (int)c->prefix.len, c->prefix.data,
			   (int)c->content.len, c->content.data);
		return;
	}
	text_relation(b, c->relation);
	if (c->has_before)
		text_values(b, "old", c->relation, &c->before);
	if (c->kind == CHANGE_INSERT || c->kind == CHANGE_UPDATE)
		text_values(b, "new", c->relation, &c->after);
}

static inline void text_event(struct buf *b, const struct event *e)
{
	char lsn[LSN_TEXT], end[LSN_TEXT];

	if (e->kind == EVENT_NONE)
		buf_puts(b, "nothing");
	else if (e->kind == EVENT_BEGIN)
		buf_printf(b, "begin %" PRIu32 " at %s time %" PRId64, e->xid,
			   lsn_format(e->commit_lsn, lsn), e->commit_time);
	else if (e->kind == EVENT_COMMIT)
		buf_printf(b, "commit at %s end %s time %" PRId64, lsn_format(e->commit_lsn, lsn),
			   lsn_format(e->end_lsn, end), e->commit_time);
	else if (e->kind == EVENT_MESSAGE)
		buf_puts(b, "outside ");
	for (const struct change *c = e->changes; c; c = c->next) {
		text_change(b, c);
		buf_puts(b, c->next ? "; " : "");
	}
}

/* Decodes len bytes out of an allocation of that size, gone before this returns. */
static inline bool decode_exact(const struct decoder_ops *ops, struct decoder *d, const char *data,
				size_t len, struct arena *a, struct event *out, struct err *e)
{
	char *exact = malloc(len ? len : 1);

	if (len)
		memcpy(exact, data, len);
	bool ok = ops->decode(d, (struct bytes){ exact, len }, a, out, e);
	free(exact);
	return ok;
}

static inline struct decoder *decoder_after_setup(const struct decoder_case *k,
						  const struct decoder_row *row, struct arena *a)
{
	struct decoder *d = k->ops->create();
	struct err e = ERR_INIT;
	struct event event;
	struct buf msg = BUF_INIT;

	for (int i = 0; i < ROW_SETUP && row->setup[i]; i++) {
		buf_clear(&msg);
		k->bytes(row->setup[i], &msg);
		if (!decode_exact(k->ops, d, buf_str(&msg), msg.len, a, &event, &e))
			fail_msg("setup %d: %s", i, e.text);
	}
	buf_free(&msg);
	return d;
}

static inline void expect_event(const struct decoder_case *k, const struct decoder_row *row,
				const struct buf *msg)
{
	struct arena a = ARENA_INIT;
	struct decoder *d = decoder_after_setup(k, row, &a);
	struct err e = ERR_INIT;
	struct event event;
	struct buf got = BUF_INIT;

	if (decode_exact(k->ops, d, buf_str(msg), msg->len, &a, &event, &e)) {
		text_event(&got, &event);
		assert_string_equal(buf_str(&got), row->expected ? row->expected : "ERR_INPUT");
	} else {
		if (row->expected)
			fail_msg("%s", e.text);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_true(e.text[0] != '\0');
	}
	buf_free(&got);
	k->ops->destroy(d);
	arena_finish(&a);
}

static inline void expect_prefixes_fail(const struct decoder_case *k, const struct decoder_row *row,
					const struct buf *msg)
{
	struct arena a = ARENA_INIT;
	struct decoder *d = decoder_after_setup(k, row, &a);
	struct event event;

	for (size_t len = 0; len < msg->len; len++) {
		struct err e = ERR_INIT;
		if (decode_exact(k->ops, d, buf_str(msg), len, &a, &event, &e))
			fail_msg("a prefix of %zu of %zu bytes was taken", len, msg->len);
		assert_int_equal(e.kind, ERR_INPUT);
	}
	k->ops->destroy(d);
	arena_finish(&a);
}

static inline void run_row(const struct decoder_case *k, const struct decoder_row *row)
{
	struct buf msg = BUF_INIT;

	k->bytes(row->input, &msg);
	expect_event(k, row, &msg);
	if (row->expected)
		expect_prefixes_fail(k, row, &msg);
	buf_free(&msg);
}

/* The rows as cmocka tests that call run, then the tests of their own. */
static inline int run_rows(const char *group, CMUnitTestFunction run,
			   const struct decoder_row *rows, size_t nrows,
			   const struct CMUnitTest *more, size_t nmore)
{
	struct CMUnitTest *tests = calloc(nrows + nmore, sizeof *tests);

	for (size_t i = 0; i < nrows; i++) {
		tests[i].name = rows[i].name;
		tests[i].test_func = run;
		tests[i].initial_state = (void *)(uintptr_t)&rows[i];
	}
	memcpy(tests + nrows, more, nmore * sizeof *more);
	int failed = _cmocka_run_group_tests(group, tests, nrows + nmore, NULL, NULL);
	free(tests);
	return failed;
}

#endif
