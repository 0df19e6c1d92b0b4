/*
 * core/log.h: one event a line, key=value, to stderr.
 *
 *   log_event(LOG_INFO, "copy.done", "table=%s rows=%" PRIu64, table, rows);
 *   -> time=2026-01-02T03:04:05.678Z level=info event=copy.done table=public.t rows=7
 *
 * Values with spaces, quotes or control characters go through log_quote(), names that may have
 * them through log_name().
 * Threads    any; a line is written in one call.
 */
#ifndef PGCROSSFADE_CORE_LOG_H
#define PGCROSSFADE_CORE_LOG_H

#include "core/arena.h"

#include <stdbool.h>

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

/* fields: "" for none */
void log_event(enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));

/* Now, as in the lines: 2026-01-02T03:04:05.678Z */
const char *log_time(struct arena *a);

/* "text" with quotes, backslashes and control characters escaped. */
const char *log_quote(struct arena *a, const char *text);

/* text as it is where it reads as one word, else as log_quote() has it. */
const char *log_name(struct arena *a, const char *text);

#endif
