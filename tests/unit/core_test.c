/* The small things that everything stands on: LSN, buffer, arena, timestamp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/change.h"
#include "core/err.h"
#include "core/log.h"
#include "core/lsn.h"
#include "core/timestamp.h"

static void lsn_rows(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		lsn_t lsn;
		const char *again;
	} rows[] = {
		{ "0/0", true, 0, "0/0" },
		{ "16/B374D848", true, 0x16B374D848, "16/B374D848" },
		{ "16/b374d848", true, 0x16B374D848, "16/B374D848" },
		{ "FFFFFFFF/FFFFFFFF", true, UINT64_MAX, "FFFFFFFF/FFFFFFFF" },
		{ "0/00000001", true, 1, "0/1" },
		{ "", false, 0, NULL },
		{ "/", false, 0, NULL },
		{ "1/", false, 0, NULL },
		{ "/1", false, 0, NULL },
		{ "1", false, 0, NULL },
		{ "1/1 ", false, 0, NULL },
		{ "1/1/1", false, 0, NULL },
		{ "123456789/0", false, 0, NULL },
		{ "0/123456789", false, 0, NULL },
		{ "-1/0", false, 0, NULL },
		{ "0x1/0", false, 0, NULL },
	};
	char text[LSN_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		lsn_t lsn = 42;
		assert_int_equal(lsn_parse(rows[i].text, &lsn), rows[i].ok);
		assert_true(lsn == (rows[i].ok ? rows[i].lsn : 42));
		if (rows[i].ok)
			assert_string_equal(lsn_format(lsn, text), rows[i].again);
	}
}

static void timestamp_rows(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t us;
	} rows[] = {
		{ "2000-01-01 00:00:00+00", true, 0 },
		{ "2000-01-01 00:00:00.000001+00", true, 1 },
		{ "2000-01-01 00:00:00.5+00", true, 500000 },
		{ "2000-01-01 00:00:00-03:30:15", true, 12615000000 },
		{ "1999-12-31 23:59:59.999999+00", true, -1 },
		{ "2000-03-01 00:00:00+00", true, 5184000000000 },
		{ "2001-01-01 00:00:00+00", true, 31622400000000 },
		{ "2026-11-22 18:42:02.964413+00", true, 848688122964413 },
		{ "2026-11-22 20:42:02.964413+02", true, 848688122964413 },
		{ "2100-02-28 00:00:00+00", true, 3160771200000000 },
		{ "2100-03-01 00:00:00+00", true, 3160857600000000 },
		{ "294276-12-31 23:59:59.999999+00", true, 9223371331199999999 },
		{ "0044-03-15 12:00:00.5+00 BC", true, -64464465599500000 },
		{ "infinity", true, INT64_MAX },
		{ "-infinity", true, INT64_MIN },
		{ "", false, 0 },
		{ "2026-11-22", false, 0 },
		{ "2026-11-22 18:42:02", false, 0 },
		{ "2026-11-22T18:42:02+00", false, 0 },
		{ "2026-11-22 18:42:02.+00", false, 0 },
		{ "2026-11-22 18:42:02.1234567+00", false, 0 },
		{ "2026-11-22 18:42:02+0", false, 0 },
		{ "2026-11-22 18:42:02+00 ", false, 0 },
		{ "2026-11-22 18:42:02+00 AD", false, 0 },
		{ "2026-11-22 18:42:02 00", false, 0 },
		{ "2026-13-22 18:42:02+00", false, 0 },
		{ "2026-11-32 18:42:02+00", false, 0 },
		{ "2026-00-22 18:42:02+00", false, 0 },
		{ "0000-11-22 18:42:02+00", false, 0 },
		{ "2026-11-22 24:42:02+00", false, 0 },
		{ "2026-11-22 18:60:02+00", false, 0 },
		{ "294277-01-01 00:00:00+00", false, 0 },
		{ "4715-01-01 00:00:00+00 BC", false, 0 },
		{ " BC", false, 0 },
		{ "Infinity", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t us = 42;
		bool ok = timestamptz_parse(bytes_of(rows[i].text), &us);
		if (ok != rows[i].ok || us != (ok ? rows[i].us : 42))
			fail_msg("%s: %d %lld", rows[i].text, ok, (long long)us);
	}
}

static void buf_grows_and_ends_in_nul(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%03d", i);
	assert_int_equal(b.len, 3000);
	assert_int_equal(b.data[b.len], '\0');
	assert_memory_equal(b.data + 2997, "999", 3);
	buf_clear(&b);
	assert_string_equal(buf_str(&b), "");
	buf_be16(&b, 0x0102);
	buf_be32(&b, 0x03040506);
	buf_be64(&b, 0x0708090a0b0c0d0e);
	assert_memory_equal(b.data, "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe", 14);
	buf_free(&b);
	assert_int_equal(b.len, 0);
}

static void arena_gives_separate_aligned_pieces(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 1000, 9000, 40000, 3, 100000, 8 };
	enum { N = sizeof sizes / sizeof *sizes };
	struct arena a = ARENA_INIT;
	unsigned char *pieces[N];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < N; i++) {
			pieces[i] = arena_alloc(&a, sizes[i]);
			assert_int_equal((uintptr_t)pieces[i] % 16, 0);
			memset(pieces[i], (int)i, sizes[i]);
		}
		for (unsigned i = 0; i < N; i++)
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(pieces[i][k], i);
		arena_reset(&a);
	}
	arena_finish(&a);
	assert_int_equal(a.held, 0);
}

/* A queue bounded in bytes goes by it: neither much less nor much more than is used. */
static void arena_says_what_it_holds(void **state)
{
	struct arena a = ARENA_INIT;
	size_t used = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		size_t size = (size_t)(i * 37 % 700);
		arena_alloc(&a, size);
		used += size;
		assert_true(a.held >= used);
		assert_true(a.held <= 4096 + used * 3);
	}
	arena_finish(&a);
}

static void arena_copies_text(void **state)
{
	struct arena a = ARENA_INIT;

	(void)state;
	assert_string_equal(arena_strdup(&a, "abc"), "abc");
	assert_string_equal(arena_strndup(&a, "abc", 2), "ab");
	assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	assert_true(bytes_equal(arena_copy(&a, bytes_of("")), bytes_of("")));
	const char *zero = arena_array(&a, 3, 5);
	for (int i = 0; i < 15; i++)
		assert_int_equal(zero[i], 0);
	arena_finish(&a);
}

static void err_wraps_outward(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_false(err_set(&e, ERR_RETRY, "connection %s", "refused"));
	assert_false(err_wrap(&e, "open slot %s", "s1"));
	assert_false(err_wrap(&e, "stream"));
	assert_string_equal(e.text, "stream: open slot s1: connection refused");
	assert_int_equal(e.kind, ERR_RETRY);
	err_clear(&e);
	assert_int_equal(e.kind, ERR_NONE);
}

static void err_becomes_one_line(void **state)
{
	static const char *const rows[][2] = {
		{ "a\n\tb  c", "a b c" },
		{ " \n a \r\n", "a" },
		{ "\n", "" },
		{ "plain", "plain" },
		{ "\xC3\xA9t\xC3\xA9", "\xC3\xA9t\xC3\xA9" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err e = ERR_INIT;
		err_set(&e, ERR_RETRY, "%s", rows[i][0]);
		err_one_line(&e);
		assert_string_equal(e.text, rows[i][1]);
		assert_int_equal(e.kind, ERR_RETRY);
	}
}

static void err_wrap_keeps_within_its_text(void **state)
{
	struct err e = ERR_INIT;
	char name[3000];

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	err_set(&e, ERR_INPUT, "%s", name);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_wrap(&e, "place");
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	assert_memory_equal(e.text, "place: nnn", 10);
	err_wrap(&e, "%s", name);
	assert_memory_equal(e.text, "place: nnn", 10);
}

static void a_logged_name_is_one_word(void **state)
{
	static const char *const rows[][2] = {
		{ "app.a", "app.a" },
		{ "public.größe", "public.größe" },
		{ "deputy, of", "\"deputy, of\"" },
		{ "app.\"A\"", "\"app.\\\"A\\\"\"" },
		{ "a=b", "\"a=b\"" },
		{ "two\nlines", "\"two\\nlines\"" },
		{ "", "\"\"" },
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(log_name(&a, rows[i][0]), rows[i][1]);
	arena_finish(&a);
}

static void relations_compare_by_shape(void **state)
{
	static const struct column ab[] = { { "a", 23, true }, { "b", 25, false } };
	static const struct column aB[] = { { "a", 23, true }, { "b", 25, true } };
	static const struct column ba[] = { { "b", 25, false }, { "a", 23, true } };
	struct relation one = { "s", "t", true, 2, ab }, other = { "s", "t", true, 2, ab };

	(void)state;
	assert_true(relation_equal(&one, &other));
	other.columns = aB;
	assert_false(relation_equal(&one, &other));
	other.columns = ba;
	assert_false(relation_equal(&one, &other));
	other = (struct relation){ "s", "t", true, 1, ab };
	assert_false(relation_equal(&one, &other));
	other = (struct relation){ "s", "u", true, 2, ab };
	assert_false(relation_equal(&one, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsn_rows),
		cmocka_unit_test(timestamp_rows),
		cmocka_unit_test(buf_grows_and_ends_in_nul),
		cmocka_unit_test(arena_gives_separate_aligned_pieces),
		cmocka_unit_test(arena_says_what_it_holds),
		cmocka_unit_test(arena_copies_text),
		cmocka_unit_test(err_wraps_outward),
		cmocka_unit_test(err_becomes_one_line),
		cmocka_unit_test(err_wrap_keeps_within_its_text),
		cmocka_unit_test(a_logged_name_is_one_word),
		cmocka_unit_test(relations_compare_by_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
