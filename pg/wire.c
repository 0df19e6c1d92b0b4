#include "pg/wire.h"

#include "core/timestamp.h"

/* --- integers --- */

/* Digits only, an optional sign, no wider than width bytes. */
static bool parse_integer(struct bytes text, unsigned width, int64_t *out)
{
	bool negative = text.len && text.data[0] == '-';
	uint64_t limit = ((uint64_t)1 << (width * 8 - 1)) - (negative ? 0 : 1);
	uint64_t v = 0;

	if (text.len == (negative ? 1 : 0))
		return false;
	for (size_t i = negative; i < text.len; i++) {
		unsigned digit = (unsigned)(text.data[i] - '0');
		if (digit > 9 || v > (limit - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static void put_fixed(struct buf *b, unsigned width, int64_t v)
{
	buf_be32(b, width);
	if (width == 2)
		buf_be16(b, (uint16_t)v);
	else if (width == 4)
		buf_be32(b, (uint32_t)v);
	else
		buf_be64(b, (uint64_t)v);
}

static bool put_integer(struct buf *b, struct bytes text, unsigned width)
{
	int64_t v;

	if (!parse_integer(text, width, &v))
		return false;
	put_fixed(b, width, v);
	return true;
}

static bool put_int2(struct buf *b, struct bytes text)
{
	return put_integer(b, text, 2);
}

static bool put_int4(struct buf *b, struct bytes text)
{
	return put_integer(b, text, 4);
}

static bool put_int8(struct buf *b, struct bytes text)
{
	return put_integer(b, text, 8);
}

/* --- numeric: digits to base 10,000 on both sides of the point; numeric_recv() strips zeros --- */

enum { NUMERIC_NEGATIVE = 0x4000, MOST_WHOLE = 131072, MOST_SCALE = 16383 };

static void put_numeric_head(struct buf *b, size_t ngroups, size_t whole, unsigned sign,
			     size_t scale)
{
	buf_be32(b, (uint32_t)(8 + 2 * ngroups));
	buf_be16(b, (uint16_t)ngroups);
	buf_be16(b, (uint16_t)(whole - 1)); /* power of the first group */
	buf_be16(b, (uint16_t)sign);
	buf_be16(b, (uint16_t)scale);
}

static bool put_special(struct buf *b, struct bytes text)
{
	static const struct {
		const char *text;
		unsigned sign;
	} specials[] = { { "NaN", 0xC000 }, { "Infinity", 0xD000 }, { "-Infinity", 0xF000 } };

	for (unsigned i = 0; i < sizeof specials / sizeof *specials; i++)
		if (bytes_equal(text, bytes_of(specials[i].text))) {
			put_numeric_head(b, 0, 1, specials[i].sign, 0);
			return true;
		}
	return false;
}

static size_t count_digits(struct bytes text)
{
	size_t n = 0;

	while (n < text.len && text.data[n] >= '0' && text.data[n] <= '9')
		n++;
	return n;
}

/* Groups of four, from `lead` zeros before the first digit to zeros behind the last. */
static void put_groups(struct buf *b, const char *digits, size_t n, unsigned lead)
{
	unsigned group = 0, have = lead;

	for (size_t i = 0; i < n; i++) {
		group = group * 10 + (unsigned)(digits[i] - '0');
		if (++have == 4) {
			buf_be16(b, (uint16_t)group);
			group = have = 0;
		}
	}
	if (!have)
		return;
	for (; have < 4; have++)
		group *= 10;
	buf_be16(b, (uint16_t)group);
}

/* The digits on both sides of the point. */
static bool split(struct bytes text, struct bytes *whole, struct bytes *scale)
{
	size_t n = count_digits(text);

	*whole = (struct bytes){ text.data, n };
	*scale = (struct bytes){ NULL, 0 };
	if (n < text.len) {
		*scale = (struct bytes){ text.data + n + 1, text.len - n - 1 };
		if (text.data[n] != '.' || !scale->len || count_digits(*scale) != scale->len)
			return false;
	}
	return n && n <= MOST_WHOLE && scale->len <= MOST_SCALE;
}

static bool put_numeric(struct buf *b, struct bytes text)
{
	bool negative = text.len && text.data[0] == '-';
	struct bytes whole, scale;

	if (!split((struct bytes){ text.data + negative, text.len - negative }, &whole, &scale))
		return put_special(b, text);
	size_t before = (whole.len + 3) / 4;
	put_numeric_head(b, before + (scale.len + 3) / 4, before, negative ? NUMERIC_NEGATIVE : 0,
			 scale.len);
	put_groups(b, whole.data, whole.len, (unsigned)(before * 4 - whole.len));
	put_groups(b, scale.data, scale.len, 0);
	return true;
}

/* --- dates and times --- */

static bool put_date(struct buf *b, struct bytes text)
{
	int32_t v;

	if (!date_parse(text, &v))
		return false;
	put_fixed(b, 4, v);
	return true;
}

static bool put_time(struct buf *b, struct bytes text, bool (*parse)(struct bytes, int64_t *))
{
	int64_t v;

	if (!parse(text, &v))
		return false;
	put_fixed(b, 8, v);
	return true;
}

static bool put_timestamp(struct buf *b, struct bytes text)
{
	return put_time(b, text, timestamp_parse);
}

static bool put_timestamptz(struct buf *b, struct bytes text)
{
	return put_time(b, text, timestamptz_parse);
}

/* --- uuid --- */

static bool hex_digit(char c, unsigned *out)
{
	if (c >= '0' && c <= '9')
		*out = (unsigned)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*out = (unsigned)(c - 'a') + 10;
	else
		return false;
	return true;
}

static bool parse_uuid(struct bytes text, char out[16])
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	unsigned n = 0, high = 0, digit;

	if (text.len != sizeof form - 1)
		return false;
	for (unsigned i = 0; i < text.len; i++) {
		if (form[i] == '-' ? text.data[i] != '-' : !hex_digit(text.data[i], &digit))
			return false;
		if (form[i] == '-')
			continue;
		if (n % 2)
			out[n / 2] = (char)(high << 4 | digit);
		high = digit;
		n++;
	}
	return true;
}

static bool put_uuid(struct buf *b, struct bytes text)
{
	char uuid[16];

	if (!parse_uuid(text, uuid))
		return false;
	buf_be32(b, sizeof uuid);
	buf_add(b, uuid, sizeof uuid);
	return true;
}

/* --- any --- */

static bool put_text(struct buf *b, struct bytes text)
{
	buf_be32(b, (uint32_t)text.len);
	buf_add(b, text.data, text.len);
	return true;
}

static const struct {
	const char *name;
	uint32_t element, array;                       /* pg_type.oid */
	bool (*put)(struct buf *b, struct bytes text); /* false: refused, nothing put */
} wires[WIRE_COUNT] = {
	[WIRE_INT2] = { "int2", 21, 1005, put_int2 },
	[WIRE_INT4] = { "int4", 23, 1007, put_int4 },
	[WIRE_INT8] = { "int8", 20, 1016, put_int8 },
	[WIRE_NUMERIC] = { "numeric", 1700, 1231, put_numeric },
	[WIRE_DATE] = { "date", 1082, 1182, put_date },
	[WIRE_TIMESTAMP] = { "timestamp", 1114, 1115, put_timestamp },
	[WIRE_TIMESTAMPTZ] = { "timestamptz", 1184, 1185, put_timestamptz },
	[WIRE_UUID] = { "uuid", 2950, 2951, put_uuid },
	[WIRE_TEXT] = { "text", 25, 1009, put_text },
	[WIRE_BOOL] = { "bool", 16, 1000, NULL },
};

enum wire wire_of_type(uint32_t type_oid)
{
	enum wire wire = 0;

	while (wire < WIRE_TEXT && wires[wire].element != type_oid)
		wire++;
	return wire;
}

const char *wire_name(enum wire wire)
{
	return wires[wire].name;
}

uint32_t wire_element_type(enum wire wire)
{
	return wires[wire].element;
}

uint32_t wire_array_type(enum wire wire)
{
	return wires[wire].array;
}

bool wire_text(struct buf *b, enum wire wire, struct bytes text, struct err *e)
{
	return wires[wire].put(b, text) ||
	       err_set(e, ERR_INPUT, "'%.*s' is not what a server prints of type %s", (int)text.len,
		       text.data, wires[wire].name);
}

void wire_bool(struct buf *b, bool value)
{
	buf_be32(b, 1);
	buf_putc(b, value ? 1 : 0);
}

void wire_null(struct buf *b)
{
	buf_be32(b, UINT32_MAX);
}
