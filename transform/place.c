#include "transform/place.h"

#include <stdarg.h>
#include <stdio.h>

static bool starts_character(char c)
{
	return ((unsigned char)c & 0xC0) != 0x80;
}

struct place text_place_of(const struct text_place *lies, const char *text, size_t at)
{
	struct place p = lies->first;

	if (!lies->block)
		return p;
	for (size_t i = 0; i < at && text[i]; i++) {
		if (text[i] == '\n') {
			p.line++;
			p.column = lies->indent + 1;
		} else if (starts_character(text[i])) {
			p.column++;
		}
	}
	return p;
}

const char *place_text(struct arena *a, const char *file, struct place p)
{
	return arena_printf(a, "%s:%u:%u", file, p.line, p.column);
}

bool place_err(struct err *e, const char *file, struct place p, const char *fmt, ...)
{
	char text[sizeof e->text];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return err_set(e, ERR_CONFIG, "%s:%u:%u: %s", file, p.line, p.column, text);
}
