#include "transform/check.h"

static void report(struct check *c, enum finding_level level, const char *subject,
		   const char *place, const char *fmt, va_list args)
{
	finding_vadd(c->findings, c->arena, level, subject, place, fmt, args);
}

void check_pass(struct check *c, const char *subject, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(c, FINDING_PASS, subject, NULL, fmt, args);
	va_end(args);
}

void check_warn(struct check *c, const char *subject, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(c, FINDING_WARN, subject, NULL, fmt, args);
	va_end(args);
}

void check_fail(struct check *c, const char *subject, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(c, FINDING_FAIL, subject, NULL, fmt, args);
	va_end(args);
}

void check_warn_at(struct check *c, const char *subject, struct place p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(c, FINDING_WARN, subject, place_text(c->arena, c->m->file, p), fmt, args);
	va_end(args);
}

void check_fail_at(struct check *c, const char *subject, struct place p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(c, FINDING_FAIL, subject, place_text(c->arena, c->m->file, p), fmt, args);
	va_end(args);
}

void check_fail_select(struct check *c, const struct flow *f, size_t at, const char *fmt, ...)
{
	struct place p = text_place_of(&f->def->select_lies, f->def->select, at);
	va_list args;

	va_start(args, fmt);
	report(c, FINDING_FAIL, f->subject, place_text(c->arena, c->m->file, p), fmt, args);
	va_end(args);
}
