#include "cdc/timestamp.h"

#include "core/reader.h"

/* Between least and most digits, as a number; anything else poisons. */
static int64_t digits(struct reader *r, unsigned least, unsigned most, unsigned *count)
{
	int64_t v = 0;
	unsigned n = 0;

	while (n < most && rd_left(r) && *r->at >= '0' && *r->at <= '9') {
		v = v * 10 + (rd_u8(r) - '0');
		n++;
	}
	if (n < least)
		r->bad = true;
	if (count)
		*count = n;
	return v;
}

static int64_t two(struct reader *r, int64_t most)
{
	int64_t v = digits(r, 2, 2, NULL);

	if (v > most)
		r->bad = true;
	return v;
}

static void want(struct reader *r, char c)
{
	if (rd_u8(r) != (uint8_t)c)
		r->bad = true;
}

static bool next_is(const struct reader *r, char c)
{
	return rd_left(r) && *r->at == (uint8_t)c;
}

/* Days from 2000-01-01 in the Gregorian calendar; years begin in March here, so that
 * the leap day is a year's last. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 730425;
}

static int64_t read_date(struct reader *r)
{
	int64_t year = digits(r, 4, 6, NULL);

	want(r, '-');
	int64_t month = two(r, 12);
	want(r, '-');
	int64_t day = two(r, 31);
	if (!year || !month || !day)
		r->bad = true;
	return days(year, month, day);
}

static int64_t read_clock(struct reader *r)
{
	int64_t seconds = two(r, 23) * 3600;

	want(r, ':');
	seconds += two(r, 59) * 60;
	want(r, ':');
	return seconds + two(r, 60);
}

static int64_t read_fraction(struct reader *r)
{
	unsigned n;

	if (!next_is(r, '.'))
		return 0;
	rd_u8(r);
	int64_t us = digits(r, 1, 6, &n);
	for (; n < 6; n++)
		us *= 10;
	return us;
}

static int64_t read_offset(struct reader *r)
{
	uint8_t sign = rd_u8(r);
	int64_t seconds = two(r, 15) * 3600;

	if (next_is(r, ':')) {
		rd_u8(r);
		seconds += two(r, 59) * 60;
	}
	if (next_is(r, ':')) {
		rd_u8(r);
		seconds += two(r, 59);
	}
	if (sign != '+' && sign != '-')
		r->bad = true;
	return sign == '-' ? -seconds : seconds;
}

bool timestamp_parse(struct bytes text, int64_t *out)
{
	struct reader r = rd_init(text);

	int64_t seconds = read_date(&r) * 86400;
	want(&r, ' ');
	seconds += read_clock(&r);
	int64_t us = read_fraction(&r);
	seconds -= read_offset(&r);
	if (!rd_done(&r))
		return false;
	*out = seconds * 1000000 + us;
	return true;
}
