#include "pg/array.h"

#include "core/reader.h"

void array_begin(struct buf *b, enum wire wire, unsigned count)
{
	buf_be32(b, count ? 1 : 0); /* dimensions */
	buf_be32(b, 1);             /* may have NULLs */
	buf_be32(b, wire_element_type(wire));
	if (count) {
		buf_be32(b, count);
		buf_be32(b, 1); /* lower bound */
	}
}

struct bytes array_only(struct bytes array)
{
	struct reader r = rd_init(array);

	rd_take(&r, 5 * sizeof(uint32_t)); /* what array_begin() wrote */
	uint32_t len = rd_u32(&r);
	return len == UINT32_MAX ? (struct bytes){ NULL, 0 } : rd_take(&r, len);
}
