#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list args;

	e->kind = kind;
	e->sqlstate[0] = '\0';
	va_start(args, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, args);
	va_end(args);
	return false;
}

bool err_wrap(struct err *e, const char *fmt, ...)
{
	char prefix[sizeof e->text];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(prefix, sizeof prefix, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n + 3 >= sizeof prefix)
		return false; /* the cause is worth more than the place */
	size_t keep = sizeof e->text - (size_t)n - 3;
	size_t len = strnlen(e->text, keep);
	memmove(e->text + n + 2, e->text, len);
	e->text[(size_t)n + 2 + len] = '\0';
	memcpy(e->text, prefix, (size_t)n);
	memcpy(e->text + n, ": ", 2);
	return false;
}

void err_one_line(struct err *e)
{
	char *to = e->text;

	for (const char *from = e->text; *from; from++) {
		bool space = (unsigned char)*from <= ' ';
		if (!space)
			*to++ = *from;
		else if (to > e->text && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > e->text && to[-1] == ' ')
		to--;
	*to = '\0';
}

void err_clear(struct err *e)
{
	e->kind = ERR_NONE;
	e->sqlstate[0] = '\0';
	e->text[0] = '\0';
}
