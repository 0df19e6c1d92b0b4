/* The reader of wire messages: every read is inside the message, or it is poisoned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/reader.h"

#include <stdlib.h>

/* Exactly as long as it says, so that a read past it is seen. */
static void *exact(const void *data, size_t len)
{
	return memcpy(malloc(len ? len : 1), data, len);
}

static void reader_reads_big_endian(void **state)
{
	static const char wire[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
				   "ab\0cd";
	char *copy = exact(wire, sizeof wire - 1);
	struct reader r = rd_init((struct bytes){ copy, sizeof wire - 1 });

	(void)state;
	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_u16(&r), 0x0203);
	assert_int_equal(rd_u32(&r), 0x04050607);
	assert_true(rd_u64(&r) == 0x08090a0b0c0d0e0f);
	assert_true(bytes_equal(rd_cstr(&r), bytes_of("ab")));
	assert_int_equal(rd_left(&r), 2);
	assert_false(rd_done(&r));
	assert_true(bytes_equal(rd_take(&r, 2), bytes_of("cd")));
	assert_true(rd_done(&r));
	free(copy);
}

static bool read_all(const char *data, size_t len)
{
	char *copy = exact(data, len);
	struct reader r = rd_init((struct bytes){ copy, len });

	rd_u8(&r);
	rd_u16(&r);
	rd_u32(&r);
	rd_u64(&r);
	rd_cstr(&r);
	rd_take(&r, 2);
	bool done = rd_done(&r);
	free(copy);
	return done;
}

static void reader_fails_on_every_prefix(void **state)
{
	static const char wire[] = "123456789012345ab\0cd";

	(void)state;
	assert_true(read_all(wire, sizeof wire - 1));
	for (size_t len = 0; len < sizeof wire - 1; len++)
		assert_false(read_all(wire, len));
}

static void reader_stays_bad(void **state)
{
	struct reader r = rd_init(bytes_of("abc"));

	(void)state;
	assert_int_equal(rd_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(rd_take(&r, 0).len, 0);
	assert_int_equal(rd_cstr(&r).len, 0);
	assert_int_equal(rd_left(&r), 0);
	assert_false(rd_done(&r));
}

static void reader_takes_no_wrapping_length(void **state)
{
	struct reader r = rd_init(bytes_of("abc"));

	(void)state;
	rd_take(&r, SIZE_MAX);
	assert_true(r.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_reads_big_endian),
		cmocka_unit_test(reader_fails_on_every_prefix),
		cmocka_unit_test(reader_stays_bad),
		cmocka_unit_test(reader_takes_no_wrapping_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
