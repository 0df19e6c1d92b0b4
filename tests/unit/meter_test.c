#include "service/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MB = 1 << 20 };

/* Two moments ten seconds apart; times in seconds. */
struct row {
	const char *name;
	double applying, starved;
	uint64_t queued, unsent;
	const char *bottleneck;
};

static const struct row rows[] = {
	{ "nothing to do", 0, 10, 0, 0, "" },
	{ "busy, and keeps up", 9, 5, 0, 0, "" },
	{ "busy, and work waits in the queue", 9, 0, 4 * MB, 0, "apply" },
	{ "busy, and the server has more", 9, 0, 0, 4 * MB, "apply" },
	{ "idle while the server has more that it does not send", 1, 9, 0, 4 * MB, "source" },
	{ "idle while the receiver is busy", 1, 1, 0, 4 * MB, "reader" },
	{ "a little WAL is always there", 1, 9, 0, 1000, "" },
};

static void test_bottleneck(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct meter m = { .count = 0 };
		struct meter_sample first = { .at_us = 1000000 };
		struct meter_sample last = {
			.at_us = 11000000,
			.effort = { .applying_us = (int64_t)(r->applying * 1e6),
				    .starved_us = (int64_t)(r->starved * 1e6) },
			.queued_bytes = r->queued,
			.unsent_bytes = r->unsent
		};
		meter_add(&m, &first);
		assert_string_equal(meter_bottleneck(&m), "");
		meter_add(&m, &last);
		if (strcmp(meter_bottleneck(&m), r->bottleneck) != 0)
			fail_msg("%s: %s", r->name, meter_bottleneck(&m));
	}
}

/* The rate is that of the last ten seconds, not of all time. */
static void test_rate(void **state)
{
	struct meter m = { .count = 0 };

	(void)state;
	for (int second = 0; second < 40; second++) {
		uint64_t changes = second < 20 ? (uint64_t)second * 1000 : 20000;
		struct meter_sample s = { .at_us = second * 1000000LL,
					  .effort = { .changes = changes } };
		meter_add(&m, &s);
		if (second == 0 || second > 30)
			assert_true(meter_rate(&m) == 0);
		if (second > 0 && second < 20)
			assert_true(meter_rate(&m) == 1000);
	}
}

/* Another pipeline counts from zero: what was before it does not count. */
static void test_starts_over(void **state)
{
	struct meter m = { .count = 0 };
	const struct meter_sample samples[] = {
		{ .at_us = 1000000, .effort = { .changes = 500 } },
		{ .at_us = 2000000, .effort = { .changes = 900 } },
		{ .at_us = 3000000, .effort = { .changes = 10 } },
		{ .at_us = 4000000, .effort = { .changes = 30 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
		meter_add(&m, &samples[i]);
	assert_true(meter_rate(&m) == 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bottleneck),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_starts_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
