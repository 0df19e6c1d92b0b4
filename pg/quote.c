#include "pg/quote.h"

void buf_ident(struct buf *b, const char *name)
{
	buf_putc(b, '"');
	for (const char *s = name; *s; s++) {
		if (*s == '"')
			buf_putc(b, '"');
		buf_putc(b, *s);
	}
	buf_putc(b, '"');
}

void buf_qualified(struct buf *b, const char *schema, const char *name)
{
	buf_ident(b, schema);
	buf_putc(b, '.');
	buf_ident(b, name);
}

void buf_literal(struct buf *b, const char *text)
{
	bool escape = strchr(text, '\\') != NULL;

	buf_puts(b, escape ? " E'" : "'");
	for (const char *s = text; *s; s++) {
		if (*s == '\'' || *s == '\\')
			buf_putc(b, *s);
		buf_putc(b, *s);
	}
	buf_putc(b, '\'');
}

void buf_text_array(struct buf *b, const char *const *items, unsigned n)
{
	buf_putc(b, '{');
	for (unsigned i = 0; i < n; i++) {
		buf_puts(b, i ? ",\"" : "\"");
		for (const char *s = items[i]; *s; s++) {
			if (*s == '"' || *s == '\\')
				buf_putc(b, '\\');
			buf_putc(b, *s);
		}
		buf_putc(b, '"');
	}
	buf_putc(b, '}');
}

static const char *into_arena(struct arena *a, struct buf *b)
{
	const char *s = arena_strndup(a, buf_str(b), b->len);

	buf_free(b);
	return s;
}

const char *arena_ident(struct arena *a, const char *name)
{
	struct buf b = BUF_INIT;

	buf_ident(&b, name);
	return into_arena(a, &b);
}

const char *arena_qualified(struct arena *a, const char *schema, const char *name)
{
	struct buf b = BUF_INIT;

	buf_qualified(&b, schema, name);
	return into_arena(a, &b);
}

const char *arena_literal(struct arena *a, const char *text)
{
	struct buf b = BUF_INIT;

	buf_literal(&b, text);
	return into_arena(a, &b);
}

const char *arena_text_array(struct arena *a, const char *const *items, unsigned n)
{
	struct buf b = BUF_INIT;

	buf_text_array(&b, items, n);
	return into_arena(a, &b);
}
