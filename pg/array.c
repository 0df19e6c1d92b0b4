#include "pg/array.h"

#include "core/reader.h"

static const struct {
	uint32_t element, array; /* pg_type.oid; fixed by PostgreSQL since 7.x */
	unsigned width;
} wires[] = {
	[WIRE_INT2] = { 21, 1005, 2 }, [WIRE_INT4] = { 23, 1007, 4 }, [WIRE_INT8] = { 20, 1016, 8 },
	[WIRE_TEXT] = { 25, 1009, 0 }, [WIRE_BOOL] = { 16, 1000, 1 },
};

uint32_t array_type(enum wire wire)
{
	return wires[wire].array;
}

uint32_t array_element_type(enum wire wire)
{
	return wires[wire].element;
}

void array_begin(struct buf *b, enum wire wire, unsigned count)
{
	buf_be32(b, count ? 1 : 0); /* dimensions */
	buf_be32(b, 1);             /* may have NULLs */
	buf_be32(b, wires[wire].element);
	if (count) {
		buf_be32(b, count);
		buf_be32(b, 1); /* lower bound */
	}
}

void array_null(struct buf *b)
{
	buf_be32(b, UINT32_MAX);
}

void array_bool(struct buf *b, bool value)
{
	buf_be32(b, 1);
	buf_putc(b, value ? 1 : 0);
}

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

static bool add_integer(struct buf *b, unsigned width, struct bytes text, struct err *e)
{
	int64_t v;

	if (!parse_integer(text, width, &v))
		return err_set(e, ERR_INPUT, "'%.*s' is not an integer of %u bytes", (int)text.len,
			       text.data, width);
	buf_be32(b, width);
	if (width == 2)
		buf_be16(b, (uint16_t)v);
	else if (width == 4)
		buf_be32(b, (uint32_t)v);
	else
		buf_be64(b, (uint64_t)v);
	return true;
}

bool array_text(struct buf *b, enum wire wire, struct bytes text, struct err *e)
{
	if (wire != WIRE_TEXT)
		return add_integer(b, wires[wire].width, text, e);
	buf_be32(b, (uint32_t)text.len);
	buf_add(b, text.data, text.len);
	return true;
}

struct bytes array_only(struct bytes array)
{
	struct reader r = rd_init(array);

	rd_take(&r, 5 * sizeof(uint32_t)); /* what array_begin() wrote */
	uint32_t len = rd_u32(&r);
	return len == UINT32_MAX ? (struct bytes){ NULL, 0 } : rd_take(&r, len);
}
