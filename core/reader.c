#include "core/reader.h"

#include <endian.h>

struct reader rd_init(struct bytes message)
{
	const uint8_t *at = (const uint8_t *)message.data;

	return (struct reader){ at, at + message.len, false };
}

struct bytes rd_take(struct reader *r, size_t len)
{
	if (r->bad || len > (size_t)(r->end - r->at)) {
		r->bad = true;
		return (struct bytes){ "", 0 };
	}
	struct bytes b = { (const char *)r->at, len };
	r->at += len;
	return b;
}

uint8_t rd_u8(struct reader *r)
{
	struct bytes b = rd_take(r, 1);

	return b.len ? (uint8_t)b.data[0] : 0;
}

uint16_t rd_u16(struct reader *r)
{
	struct bytes b = rd_take(r, sizeof(uint16_t));
	uint16_t v = 0;

	memcpy(&v, b.data, b.len);
	return be16toh(v);
}

uint32_t rd_u32(struct reader *r)
{
	struct bytes b = rd_take(r, sizeof(uint32_t));
	uint32_t v = 0;

	memcpy(&v, b.data, b.len);
	return be32toh(v);
}

uint64_t rd_u64(struct reader *r)
{
	struct bytes b = rd_take(r, sizeof(uint64_t));
	uint64_t v = 0;

	memcpy(&v, b.data, b.len);
	return be64toh(v);
}

struct bytes rd_cstr(struct reader *r)
{
	const uint8_t *nul = r->bad || r->at == r->end ? NULL
						       : memchr(r->at, 0, (size_t)(r->end - r->at));

	if (!nul) {
		r->bad = true;
		return (struct bytes){ "", 0 };
	}
	struct bytes b = { (const char *)r->at, (size_t)(nul - r->at) };
	r->at = nul + 1;
	return b;
}
