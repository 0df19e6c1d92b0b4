#include "transform/finding.h"

#include <stdio.h>
#include <string.h>

/* Parts what from what to do while the two are one text; nobody types it. */
#define PART '\x1f'

static char *format(struct arena *a, const char *fmt, va_list args)
{
	va_list again;

	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	char *text = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	vsnprintf(text, (size_t)(n < 0 ? 0 : n) + 1, fmt, args);
	return text;
}

/* Puts PART in place of the first "; ". */
static char *mark_part(char *text)
{
	char *at = strstr(text, "; ");

	if (at) {
		at[0] = PART;
		memmove(at + 1, at + 2, strlen(at + 2) + 1);
	}
	return at;
}

/* A server's message may have several lines. */
static void make_one_line(char *text)
{
	for (; *text; text++)
		if (*text == '\n' || *text == '\r' || *text == '\t')
			*text = ' ';
}

/* Cuts text at the PART and gives what follows it, or NULL. */
static const char *cut_cure(char *text)
{
	char *at = strchr(text, PART);

	if (at)
		*at++ = '\0';
	return at;
}

void finding_vadd(struct findings *f, struct arena *a, enum finding_level level,
		  const char *subject, const char *place, const char *fmt, va_list args)
{
	struct finding *new = arena_zalloc(a, sizeof *new);
	char *marked = arena_strdup(a, fmt);
	bool parted = mark_part(marked) != NULL;
	char *text = format(a, marked, args);

	if (!parted)
		mark_part(text);
	make_one_line(text);
	*new = (struct finding){ level, subject, place, text, cut_cure(text), NULL };
	*f->tail = new;
	f->tail = &new->next;
	f->failures += level == FINDING_FAIL;
	f->warnings += level == FINDING_WARN;
}

void finding_add(struct findings *f, struct arena *a, enum finding_level level, const char *subject,
		 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	finding_vadd(f, a, level, subject, NULL, fmt, args);
	va_end(args);
}

const char *finding_text(struct arena *a, const struct finding *f)
{
	return arena_printf(a, "%s%s%s%s%s", f->place ? f->place : "", f->place ? ": " : "",
			    f->text, f->cure ? "; " : "", f->cure ? f->cure : "");
}

const char *finding_level_name(enum finding_level level)
{
	static const char *const names[] = {
		[FINDING_PASS] = "pass",
		[FINDING_WARN] = "warn",
		[FINDING_FAIL] = "fail",
	};

	return names[level];
}
