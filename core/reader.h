/*
 * core/reader.h: reads big-endian fields out of a borrowed message.
 *
 * The first read past the end poisons the reader; later reads return zero or an
 * empty run. The caller reads everything and tests rd_done() once at the end.
 */
#ifndef PGCROSSFADE_CORE_READER_H
#define PGCROSSFADE_CORE_READER_H

#include "core/bytes.h"

#include <stdint.h>

struct reader {
	const uint8_t *at, *end;
	bool bad; /* never resets */
};

struct reader rd_init(struct bytes message);
uint8_t rd_u8(struct reader *r);
uint16_t rd_u16(struct reader *r);
uint32_t rd_u32(struct reader *r);
uint64_t rd_u64(struct reader *r);
struct bytes rd_take(struct reader *r, size_t len);
struct bytes rd_cstr(struct reader *r); /* up to NUL, which is consumed */

static inline size_t rd_left(const struct reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

/* True when every read was inside the message and nothing is left over. */
static inline bool rd_done(const struct reader *r)
{
	return !r->bad && r->at == r->end;
}

#endif
