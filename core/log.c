#include "core/log.h"

#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

const char *log_time(struct arena *a)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	return arena_printf(a, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

/* A name may hold anything; what it holds must not pass for an event. */
static void keep_one_line(struct buf *line)
{
	for (size_t i = 0; i < line->len; i++)
		if ((unsigned char)line->data[i] < 0x20 || line->data[i] == 0x7f)
			line->data[i] = '?';
}

void log_event(enum log_level level, const char *event, const char *fields, ...)
{
	struct buf line = BUF_INIT;
	struct arena scratch = ARENA_INIT;
	char stack[2048];
	va_list args;

	va_start(args, fields);
	int n = vsnprintf(stack, sizeof stack, fields, args);
	va_end(args);
	buf_printf(&line, "time=%s level=%s event=%s", log_time(&scratch), level_names[level],
		   event);
	if (n > 0)
		buf_printf(&line, " %s%s", stack, (size_t)n >= sizeof stack ? "..." : "");
	keep_one_line(&line);
	buf_putc(&line, '\n');
	ssize_t written = write(STDERR_FILENO, line.data, line.len);
	(void)written; /* nowhere left to complain */
	arena_finish(&scratch);
	buf_free(&line);
}

const char *log_quote(struct arena *a, const char *text)
{
	struct buf b = BUF_INIT;

	buf_putc(&b, '"');
	for (const char *s = text; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			buf_printf(&b, "\\%c", c);
		else if (c == '\n')
			buf_puts(&b, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(&b, "\\x%02x", c);
		else
			buf_putc(&b, (char)c);
	}
	buf_putc(&b, '"');
	char *out = arena_strndup(a, b.data, b.len);
	buf_free(&b);
	return out;
}

const char *log_name(struct arena *a, const char *text)
{
	const char *s = text;

	while ((unsigned char)*s > ' ' && *s != 0x7f && *s != '"' && *s != '\\' && *s != '=')
		s++;
	return s > text && !*s ? text : log_quote(a, text);
}
