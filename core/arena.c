#include "core/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BLOCK = 1024, BLOCK_SIZE = 32 * 1024, ALIGN = 16 };

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(ALIGN) char data[];
};

static void die_of_memory(void)
{
	fputs("level=fatal msg=\"out of memory\"\n", stderr);
	abort();
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		die_of_memory();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		die_of_memory();
	return p;
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		die_of_memory();
	return p;
}

char *xstrdup(const char *s)
{
	size_t len = strlen(s) + 1;

	return memcpy(xmalloc(len), s, len);
}

static struct arena_block *block_create(size_t size)
{
	struct arena_block *b = xmalloc(sizeof *b + size);

	b->size = size;
	b->used = 0;
	b->next = NULL;
	return b;
}

/* As much again as there is, so that a small arena stays small. */
static size_t next_size(const struct arena *a)
{
	size_t size = a->held < FIRST_BLOCK ? FIRST_BLOCK : a->held;

	return size > BLOCK_SIZE ? BLOCK_SIZE : size & ~(size_t)(ALIGN - 1);
}

/* A large piece gets a block to measure, behind the head that still has room. */
static struct arena_block *block_add(struct arena *a, size_t want)
{
	bool measured = want > BLOCK_SIZE / 4;
	size_t next = next_size(a);
	struct arena_block *b = block_create(measured || want > next ? want : next);
	struct arena_block **place = measured && a->head ? &a->head->next : &a->head;

	a->held += sizeof *b + b->size;
	b->next = *place;
	*place = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t want = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct arena_block *b = a->head;

	if (want < size)
		die_of_memory();
	if (!b || b->size - b->used < want)
		b = block_add(a, want);
	void *p = b->data + b->used;
	b->used += want;
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size)
		die_of_memory();
	return arena_zalloc(a, count * size);
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = arena_alloc(a, len + 1);

	if (len)
		memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
	return (struct bytes){ arena_strndup(a, b.data, b.len), b.len };
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args, again;

	va_start(args, fmt);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		die_of_memory();
	char *p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL;

	while (a->head) {
		struct arena_block *b = a->head;
		a->head = b->next;
		if (!keep && b->size <= BLOCK_SIZE)
			keep = b;
		else
			free(b);
	}
	if (keep) {
		keep->used = 0;
		keep->next = NULL;
	}
	a->head = keep;
	a->held = keep ? sizeof *keep + keep->size : 0;
}

void arena_finish(struct arena *a)
{
	arena_reset(a);
	free(a->head);
	a->head = NULL;
	a->held = 0;
}
