/*
 * core/err.h: what went wrong, for the caller (kind) and for a person (text).
 *
 * A function that can fail returns bool and takes a struct err. False without an
 * error set is a bug. The kind names the reaction, the text names the place:
 * every layer that knows more wraps it, the top logs it once.
 */
#ifndef PGCROSSFADE_CORE_ERR_H
#define PGCROSSFADE_CORE_ERR_H

#include <stdbool.h>

enum err_kind {
	ERR_NONE,
	ERR_RETRY,  /* may pass by itself: connection lost, lock timeout, server restarting */
	ERR_INPUT,  /* bytes from a server or a file are not what their format says */
	ERR_CONFIG, /* a person must change something: file, option, catalog, privilege */
	ERR_DATA,   /* the target or a cast refuses this row */
};

struct err {
	enum err_kind kind;
	char sqlstate[6]; /* empty unless a server said so */
	char text[2048];
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		.kind = ERR_NONE                                                                   \
	}

/* Sets kind and text; drops what was there. Always returns false. */
bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text. Always returns false. */
bool err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes the text one line: white space of any kind and length is one space. */
void err_one_line(struct err *e);

void err_clear(struct err *e);

#endif
