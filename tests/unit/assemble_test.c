/* Events in, transactions out. A row's messages are letters that a small decoder reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cdc/assemble.h"
#include "core/buf.h"

#include <stdlib.h>

enum { LARGE = 1 << 20, SMALL = 3000, CHANGE_SIZE = 2000 };

/* B begin, i change, t two changes, m message inside, x outside, n nothing, C commit,
 * D commit of another transaction, anything else malformed. */
static const struct assemble_row {
	const char *name;
	size_t part_bytes;
	const char *messages;
	const char *expected; /* NULL: ERR_INPUT */
} rows[] = {
	{ "a transaction", LARGE, "BiiC", "[first 0 1 last end 110]" },
	{ "an empty transaction", LARGE, "BC", "[first last end 110]" },
	{ "two transactions number from 0", LARGE, "BiCBiiC",
	  "[first 0 last end 110][first 0 1 last end 110]" },
	{ "several changes of one message", LARGE, "BitiC", "[first 0 1 2 3 last end 110]" },
	{ "a message keeps its place", LARGE, "BimiC", "[first 0 1 2 last end 110]" },
	{ "what means nothing is dropped", LARGE, "nBninCn", "[first 0 last end 110]" },
	{ "messages outside are dropped", LARGE, "xBxixCx", "[first 0 last end 110]" },
	{ "not yet whole", LARGE, "Bii", "" },
	{ "in parts", SMALL, "BiiiiiC", "[first 0 1][2 3][4 last end 110]" },
	{ "in parts, the last one empty", SMALL, "BiiiiC", "[first 0 1][2 3][last end 110]" },
	{ "whole again after parts", SMALL, "BiiiCBiC",
	  "[first 0 1][2 last end 110][first 0 last end 110]" },
	{ "a part for each change", 1, "BiiC", "[first 0][1][last end 110]" },
	{ "begin inside", LARGE, "BB", NULL },
	{ "commit without begin", LARGE, "C", NULL },
	{ "commit twice", LARGE, "BCC", NULL },
	{ "commit of another", LARGE, "BiD", NULL },
	{ "change outside", LARGE, "i", NULL },
	{ "malformed", LARGE, "B?", NULL },
};

static struct decoder *fake_create(void)
{
	return NULL;
}

static void fake_destroy(struct decoder *d)
{
	assert_null(d);
}

static struct change *change(struct arena *a, enum change_kind kind, struct change *next)
{
	static const struct relation table = { .schema = "s", .name = "t" };
	struct change *c = arena_zalloc(a, CHANGE_SIZE);

	c->kind = kind;
	c->relation = kind == CHANGE_MESSAGE ? NULL : &table;
	c->next = next;
	return c;
}

static bool fake_decode(struct decoder *d, struct bytes msg, struct arena *a, struct event *out,
			struct err *e)
{
	(void)d;
	*out = (struct event){ .kind = EVENT_NONE };
	switch (msg.data[0]) {
	case 'B':
		*out = (struct event){ .kind = EVENT_BEGIN, .xid = 7, .commit_lsn = 100 };
		return true;
	case 'C':
	case 'D':
		*out = (struct event){ .kind = EVENT_COMMIT, .end_lsn = 110 };
		out->commit_lsn = msg.data[0] == 'C' ? 100 : 101;
		return true;
	case 't':
		*out = (struct event){ .kind = EVENT_CHANGE };
		out->changes = change(a, CHANGE_TRUNCATE, change(a, CHANGE_TRUNCATE, NULL));
		return true;
	case 'i':
	case 'm':
		*out = (struct event){ .kind = EVENT_CHANGE };
		out->changes = change(a, msg.data[0] == 'i' ? CHANGE_INSERT : CHANGE_MESSAGE, NULL);
		return true;
	case 'x':
		*out = (struct event){ .kind = EVENT_MESSAGE,
				       .changes = change(a, CHANGE_MESSAGE, NULL) };
		return true;
	case 'n':
		change(a, CHANGE_INSERT, NULL);
		return true;
	default:
		return err_set(e, ERR_INPUT, "malformed");
	}
}

static const struct decoder_ops fake = {
	.plugin = "fake", .create = fake_create, .destroy = fake_destroy, .decode = fake_decode
};

static void text_transaction(struct buf *b, const struct transaction *t)
{
	const char *space = "";

	buf_putc(b, '[');
	if (t->first) {
		buf_puts(b, "first");
		space = " ";
	}
	unsigned rows_of_tables = 0;
	for (const struct change *c = t->changes; c; c = c->next) {
		buf_printf(b, "%s%u", space, c->sequence);
		space = " ";
		rows_of_tables += c->kind != CHANGE_MESSAGE;
	}
	assert_int_equal(rows_of_tables, t->nchanges);
	assert_int_equal(t->xid, 7);
	assert_true(t->commit_lsn == 100);
	if (t->last)
		buf_printf(b, "%slast end %u", space, (unsigned)t->end_lsn);
	buf_putc(b, ']');
}

static bool feed_all(struct assembler *a, const char *messages, struct buf *got, struct err *e)
{
	for (const char *m = messages; *m; m++) {
		struct transaction *t;
		if (!assembler_feed(a, (struct bytes){ m, 1 }, &t, e))
			return false;
		if (t)
			text_transaction(got, t);
		transaction_destroy(t);
	}
	return true;
}

static void run(void **state)
{
	const struct assemble_row *row = *state;
	struct assembler *a = assembler_create(&fake, row->part_bytes);
	struct buf got = BUF_INIT;
	struct err e = ERR_INIT;

	if (feed_all(a, row->messages, &got, &e)) {
		assert_string_equal(buf_str(&got), row->expected ? row->expected : "ERR_INPUT");
	} else {
		assert_null(row->expected);
		assert_int_equal(e.kind, ERR_INPUT);
	}
	buf_free(&got);
	assembler_destroy(a);
}

static void open_between_begin_and_commit(void **state)
{
	struct assembler *a = assembler_create(&fake, LARGE);
	struct buf got = BUF_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_false(assembler_open(a));
	assert_true(feed_all(a, "B", &got, &e));
	assert_true(assembler_open(a));
	assert_true(feed_all(a, "iC", &got, &e));
	assert_false(assembler_open(a));
	buf_free(&got);
	assembler_destroy(a);
	assembler_destroy(NULL);
}

int main(void)
{
	enum { N = sizeof rows / sizeof *rows };
	struct CMUnitTest tests[N + 1] = { [N] = cmocka_unit_test(open_between_begin_and_commit) };

	for (size_t i = 0; i < N; i++) {
		tests[i].name = rows[i].name;
		tests[i].test_func = run;
		tests[i].initial_state = (void *)(uintptr_t)&rows[i];
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
