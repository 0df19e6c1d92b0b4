/*
 * core/buf.h: a growing run of bytes, always NUL-terminated for printing.
 *
 * Ownership  the buf owns data; buf_free gives it back and leaves an empty buf.
 */
#ifndef PGCROSSFADE_CORE_BUF_H
#define PGCROSSFADE_CORE_BUF_H

#include "core/bytes.h"

#include <stdint.h>

struct buf {
	char *data; /* NULL only while empty and never written */
	size_t len, cap;
};

#define BUF_INIT                                                                                   \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}

void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_be16(struct buf *b, uint16_t v); /* network byte order */
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_free(struct buf *b);

static inline const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

static inline struct bytes buf_bytes(const struct buf *b)
{
	return (struct bytes){ buf_str(b), b->len };
}

#endif
