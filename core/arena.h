/*
 * core/arena.h: memory that is given back all at once.
 *
 * Ownership  what arena_* returns lives until arena_reset or arena_finish.
 * Errors     none: out of memory aborts, the run resumes from its ledger.
 * Threads    one at a time; an arena may be handed from thread to thread.
 */
#ifndef PGCROSSFADE_CORE_ARENA_H
#define PGCROSSFADE_CORE_ARENA_H

#include "core/bytes.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t held; /* bytes of memory behind it, room not yet handed out included */
};

#define ARENA_INIT                                                                                 \
	{                                                                                          \
		NULL, 0                                                                            \
	}

void *arena_alloc(struct arena *a, size_t size);               /* 16-aligned, not cleared */
void *arena_zalloc(struct arena *a, size_t size);              /* cleared */
void *arena_array(struct arena *a, size_t count, size_t size); /* cleared; overflow aborts */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
struct bytes arena_copy(struct arena *a, struct bytes b);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);  /* keeps one block */
void arena_finish(struct arena *a); /* keeps nothing; fine to use again */

/* malloc family that aborts instead of returning NULL */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);

#endif
