#include "core/timestamp.h"

#include "core/reader.h"

enum { FIRST_YEAR_BC = 4714, LAST_YEAR = 294276, LAST_YEAR_OF_DATE = 5874897 };

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
 * the leap day is a year's last, and are counted from 4801 BC, so that none is negative. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = (month > 2 ? year : year - 1) + 4800;
	int64_t m = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 2483589;
}

static int64_t read_date(struct reader *r, int64_t last_year, bool bc)
{
	int64_t year = digits(r, 4, 7, NULL);

	want(r, '-');
	int64_t month = two(r, 12);
	want(r, '-');
	int64_t day = two(r, 31);
	if (!year || year > (bc ? FIRST_YEAR_BC : last_year) || !month || !day)
		r->bad = true;
	return days(bc ? 1 - year : year, month, day);
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

/* True when the text ended so, which is cut off. */
static bool cut_bc(struct bytes *text)
{
	static const char bc[] = { ' ', 'B', 'C' };

	if (text->len < sizeof bc || memcmp(text->data + text->len - sizeof bc, bc, sizeof bc) != 0)
		return false;
	text->len -= sizeof bc;
	return true;
}

static bool infinite(struct bytes text, int64_t least, int64_t most, int64_t *out)
{
	bool negative = bytes_equal(text, bytes_of("-infinity"));

	if (!negative && !bytes_equal(text, bytes_of("infinity")))
		return false;
	*out = negative ? least : most;
	return true;
}

static bool finite_date(struct bytes text, int64_t *out)
{
	bool bc = cut_bc(&text);
	struct reader r = rd_init(text);
	int64_t day = read_date(&r, LAST_YEAR_OF_DATE, bc);

	if (!rd_done(&r))
		return false;
	*out = day;
	return true;
}

static bool finite_time(struct bytes text, bool zoned, int64_t *out)
{
	bool bc = cut_bc(&text);
	struct reader r = rd_init(text);
	int64_t seconds = read_date(&r, LAST_YEAR, bc) * 86400;

	want(&r, ' ');
	seconds += read_clock(&r);
	int64_t us = read_fraction(&r);
	if (zoned)
		seconds -= read_offset(&r);
	if (!rd_done(&r))
		return false;
	*out = seconds * 1000000 + us;
	return true;
}

bool date_parse(struct bytes text, int32_t *out)
{
	int64_t day;

	if (!infinite(text, INT32_MIN, INT32_MAX, &day) && !finite_date(text, &day))
		return false;
	*out = (int32_t)day;
	return true;
}

bool timestamp_parse(struct bytes text, int64_t *out)
{
	return infinite(text, INT64_MIN, INT64_MAX, out) || finite_time(text, false, out);
}

bool timestamptz_parse(struct bytes text, int64_t *out)
{
	return infinite(text, INT64_MIN, INT64_MAX, out) || finite_time(text, true, out);
}
