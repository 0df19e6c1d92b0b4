/*
 * core/bytes.h: a borrowed run of bytes. Never NUL-terminated by promise.
 */
#ifndef PGCROSSFADE_CORE_BYTES_H
#define PGCROSSFADE_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct bytes {
	const char *data;
	size_t len;
};

static inline struct bytes bytes_of(const char *cstr)
{
	return (struct bytes){ cstr, strlen(cstr) };
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
