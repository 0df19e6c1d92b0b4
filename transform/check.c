#include "transform/check.h"

#include <stdarg.h>
#include <stdio.h>

static const char *format(struct arena *a, const char *fmt, va_list args)
{
	va_list again;

	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	char *text = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	vsnprintf(text, (size_t)(n < 0 ? 0 : n) + 1, fmt, args);
	return text;
}

void finding_add(struct findings *f, struct arena *a, enum finding_level level, const char *subject,
		 const char *fmt, ...)
{
	struct finding *new = arena_zalloc(a, sizeof *new);
	va_list args;

	va_start(args, fmt);
	new->text = format(a, fmt, args);
	va_end(args);
	new->level = level;
	new->subject = subject;
	*f->tail = new;
	f->tail = &new->next;
	f->failures += level == FINDING_FAIL;
}

void check_fail_at(struct check *c, const char *subject, struct place p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	const char *text = format(c->arena, fmt, args);
	va_end(args);
	finding_add(c->findings, c->arena, FINDING_FAIL, subject, "%s: %s",
		    place_text(c->arena, c->m->file, p), text);
}

void check_fail_select(struct check *c, const struct flow *f, size_t at, const char *fmt, ...)
{
	struct place p = text_place_of(&f->def->select_lies, f->def->select, at);
	va_list args;

	va_start(args, fmt);
	const char *text = format(c->arena, fmt, args);
	va_end(args);
	check_fail_at(c, f->subject, p, "%s", text);
}
