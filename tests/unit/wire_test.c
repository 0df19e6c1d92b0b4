/* What a server's _send() functions give for a text, and what is no server's text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/wire.h"

static void put_hex(struct buf *hex, const struct buf *value)
{
	for (size_t i = 0; i < value->len; i++)
		buf_printf(hex, "%02x", (unsigned char)value->data[i]);
}

/* hex NULL: refused, and nothing put. Length and value otherwise. */
static void becomes(enum wire wire, const char *text, const char *hex)
{
	struct buf value = BUF_INIT, got = BUF_INIT, want = BUF_INIT;
	struct err e = ERR_INIT;

	if (hex)
		buf_printf(&want, "%08zx%s", strlen(hex) / 2, hex);
	bool ok = wire_text(&value, wire, bytes_of(text), &e);
	put_hex(&got, &value);
	if (ok != (hex != NULL) || strcmp(buf_str(&got), buf_str(&want)) != 0)
		fail_msg("%s '%s': %d %s", wire_name(wire), text, ok, buf_str(&got));
	if (!ok)
		assert_int_equal(e.kind, ERR_INPUT);
	buf_free(&value);
	buf_free(&got);
	buf_free(&want);
	err_clear(&e);
}

static void integers(void **state)
{
	(void)state;
	becomes(WIRE_INT2, "-32768", "8000");
	becomes(WIRE_INT2, "32768", NULL);
	becomes(WIRE_INT4, "2147483647", "7fffffff");
	becomes(WIRE_INT4, "-1", "ffffffff");
	becomes(WIRE_INT8, "-9223372036854775808", "8000000000000000");
	becomes(WIRE_INT8, "9223372036854775808", NULL);
	becomes(WIRE_INT8, "-", NULL);
	becomes(WIRE_INT4, "", NULL);
	becomes(WIRE_INT4, "1.0", NULL);
}

static void numerics(void **state)
{
	(void)state;
	becomes(WIRE_NUMERIC, "0", "00010000000000000000");
	becomes(WIRE_NUMERIC, "123.45", "0002000000000002007b1194");
	becomes(WIRE_NUMERIC, "10000", "000200010000000000010000");
	becomes(WIRE_NUMERIC, "-9999", "0001000040000000270f");
	becomes(WIRE_NUMERIC, "0.00012", "00030000000000050000000107d0");
	becomes(WIRE_NUMERIC, "12345678.90123", "000400010000000504d2162e23340bb8");
	becomes(WIRE_NUMERIC, "1.10", "0002000000000002000103e8");
	becomes(WIRE_NUMERIC, "NaN", "00000000c0000000");
	becomes(WIRE_NUMERIC, "Infinity", "00000000d0000000");
	becomes(WIRE_NUMERIC, "-Infinity", "00000000f0000000");
	becomes(WIRE_NUMERIC, "", NULL);
	becomes(WIRE_NUMERIC, "-", NULL);
	becomes(WIRE_NUMERIC, ".5", NULL);
	becomes(WIRE_NUMERIC, "5.", NULL);
	becomes(WIRE_NUMERIC, "1e5", NULL);
	becomes(WIRE_NUMERIC, "1.5x", NULL);
	becomes(WIRE_NUMERIC, "1.5.5", NULL);
	becomes(WIRE_NUMERIC, " 1", NULL);
}

static void longest_numeric(void **state)
{
	enum { WHOLE = 131072, SCALE = 16383, HEAD = 12 };
	static char text[WHOLE + 1 + SCALE + 1];
	struct buf value = BUF_INIT;
	struct err e = ERR_INIT;

	(void)state;
	memset(text, '9', sizeof text - 1);
	text[WHOLE] = '.';
	assert_true(wire_text(&value, WIRE_NUMERIC, bytes_of(text), &e));
	assert_int_equal(value.len, HEAD + 2 * (WHOLE / 4 + (SCALE + 3) / 4));
	buf_free(&value);
	text[WHOLE] = '9';
	assert_false(wire_text(&value, WIRE_NUMERIC, bytes_of(text), &e));
	err_clear(&e);
}

static void dates_and_times(void **state)
{
	(void)state;
	becomes(WIRE_DATE, "1999-12-31", "ffffffff");
	becomes(WIRE_DATE, "2024-02-29", "00002279");
	becomes(WIRE_DATE, "4714-11-24 BC", "ffda97a7");
	becomes(WIRE_DATE, "0001-12-31 BC", "fff4dbf8");
	becomes(WIRE_DATE, "0005-03-01 BC", "fff4d512");
	becomes(WIRE_DATE, "0005-02-28 BC", "fff4d510");
	becomes(WIRE_DATE, "5874897-12-31", "7fda970c");
	becomes(WIRE_DATE, "5874898-01-01", NULL);
	becomes(WIRE_DATE, "infinity", "7fffffff");
	becomes(WIRE_DATE, "-infinity", "80000000");
	becomes(WIRE_DATE, "2024-02-29 00:00:00", NULL);
	becomes(WIRE_TIMESTAMP, "4714-11-24 00:00:00 BC", "fd0f7cc1411fa000");
	becomes(WIRE_TIMESTAMP, "294276-12-31 23:59:59.999999", "7fffff5bb3b29fff");
	becomes(WIRE_TIMESTAMP, "-infinity", "8000000000000000");
	becomes(WIRE_TIMESTAMP, "2026-11-22 18:42:02+00", NULL);
	becomes(WIRE_TIMESTAMPTZ, "2026-11-22 20:42:02.964413+02", "000303e09a1829bd");
	becomes(WIRE_TIMESTAMPTZ, "2026-11-22 18:42:02", NULL);
}

static void uuids(void **state)
{
	(void)state;
	becomes(WIRE_UUID, "00112233-4455-6677-8899-aabbccddeeff",
		"00112233445566778899aabbccddeeff");
	becomes(WIRE_UUID, "00112233-4455-6677-8899-AABBCCDDEEFF", NULL);
	becomes(WIRE_UUID, "00112233-4455-6677-8899-aabbccddeef", NULL);
	becomes(WIRE_UUID, "001122334-455-6677-8899-aabbccddeeff", NULL);
	becomes(WIRE_UUID, "00112233-4455-6677-8899-aabbccddeeg-", NULL);
}

static void types(void **state)
{
	enum { TIMESTAMPTZ_OID = 1184, JSONB_OID = 3802, BOOL_OID = 16 };

	(void)state;
	assert_int_equal(wire_of_type(TIMESTAMPTZ_OID), WIRE_TIMESTAMPTZ);
	assert_int_equal(wire_of_type(JSONB_OID), WIRE_TEXT);
	assert_int_equal(wire_of_type(BOOL_OID), WIRE_TEXT);
	becomes(WIRE_TEXT, "any \n text", "616e79200a2074657874");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),        cmocka_unit_test(numerics),
		cmocka_unit_test(longest_numeric), cmocka_unit_test(dates_and_times),
		cmocka_unit_test(uuids),           cmocka_unit_test(types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
