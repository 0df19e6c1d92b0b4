#include "cdc/stream.h"

#include "core/arena.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/reader.h"
#include "pg/quote.h"
#include "pg/raw.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct stream {
	struct source source;
	struct pg *pg;
	PGconn *conn; /* pg's */
	char *frame;  /* libpq's */
};

static bool start(struct stream *s, const struct stream_options *o, struct err *e)
{
	struct buf sql = BUF_INIT;
	char lsn[LSN_TEXT];

	buf_puts(&sql, "START_REPLICATION SLOT ");
	buf_ident(&sql, o->slot);
	buf_printf(&sql, " LOGICAL %s (%s)", lsn_format(o->start, lsn), o->plugin_options);
	PGresult *res = PQexec(s->conn, buf_str(&sql));
	bool ok = PQresultStatus(res) == PGRES_COPY_BOTH || pg_fail(s->pg, res, e);
	if (ok && PQsetnonblocking(s->conn, 1) != 0)
		ok = pg_fail(s->pg, NULL, e);
	PQclear(res);
	buf_free(&sql);
	return ok;
}

static struct stream *stream_of(struct source *source)
{
	return (struct stream *)source;
}

static int stream_socket(const struct source *source)
{
	return PQsocket(((const struct stream *)source)->conn);
}

/* Logical decoding makes one message of a changed row, and PostgreSQL none over 1 GB. */
static bool too_large(const struct err *e)
{
	return strncmp(e->sqlstate, "54", 2) == 0 ||
	       (strcmp(e->sqlstate, "XX000") == 0 && strstr(e->text, "invalid memory alloc"));
}

static void explain_too_large(struct err *e)
{
	e->kind = ERR_CONFIG;
	err_wrap(e, "the source cannot stream the change of a row that makes more than 1 GB of "
		    "text; rows of that size can be copied: abort, and start again");
}

/* The COPY is over though nobody asked: an error follows, or the server shuts down. */
static enum source_result ended(struct stream *s, struct err *e)
{
	PGresult *res = PQgetResult(s->conn);

	if (PQresultStatus(res) == PGRES_FATAL_ERROR)
		pg_fail(s->pg, res, e);
	else
		err_set(e, ERR_RETRY, "the server ended the stream");
	if (too_large(e))
		explain_too_large(e);
	PQclear(res);
	return SOURCE_FAILED;
}

static enum source_result parse(struct bytes frame, struct source_frame *out, struct err *e)
{
	struct reader r = rd_init(frame);
	uint8_t kind = rd_u8(&r);

	if (kind == 'w') {
		lsn_t from = rd_u64(&r), end = rd_u64(&r);
		rd_u64(&r); /* the server's clock */
		*out = (struct source_frame){ .wal_end = from > end ? from : end };
		out->payload = rd_take(&r, rd_left(&r));
		if (rd_done(&r))
			return SOURCE_DATA;
	} else if (kind == 'k') {
		*out = (struct source_frame){ .wal_end = rd_u64(&r) };
		rd_u64(&r); /* the server's clock */
		out->reply_wanted = rd_u8(&r) != 0;
		if (rd_done(&r))
			return SOURCE_KEEPALIVE;
	}
	err_set(e, ERR_INPUT, "replication stream: malformed %zu-byte frame 0x%02x", frame.len,
		kind);
	return SOURCE_FAILED;
}

static enum source_result stream_read(struct source *source, struct source_frame *out,
				      struct err *e)
{
	struct stream *s = stream_of(source);

	PQfreemem(s->frame);
	s->frame = NULL;
	int len = PQgetCopyData(s->conn, &s->frame, 1);
	if (len == 0)
		return SOURCE_DRY;
	if (len == -1)
		return ended(s, e);
	if (len < 0) {
		pg_fail(s->pg, NULL, e);
		return SOURCE_FAILED;
	}
	return parse((struct bytes){ s->frame, (size_t)len }, out, e);
}

static bool stream_fill(struct source *source, struct err *e)
{
	struct stream *s = stream_of(source);

	return PQconsumeInput(s->conn) == 1 || pg_fail(s->pg, NULL, e);
}

/* us since 2000-01-01 UTC, as the server counts */
static int64_t wall_clock(void)
{
	enum { SECONDS_1970_TO_2000 = 946684800 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((int64_t)now.tv_sec - SECONDS_1970_TO_2000) * 1000000 + now.tv_nsec / 1000;
}

static bool stream_tell(struct source *source, lsn_t received, lsn_t applied, struct err *e)
{
	struct stream *s = stream_of(source);
	struct buf b = BUF_INIT;

	buf_putc(&b, 'r');
	buf_be64(&b, received > applied ? received : applied);
	buf_be64(&b, applied); /* flushed */
	buf_be64(&b, applied);
	buf_be64(&b, (uint64_t)wall_clock());
	buf_putc(&b, 0); /* no answer wanted */
	bool ok = PQputCopyData(s->conn, b.data, (int)b.len) == 1 || pg_fail(s->pg, NULL, e);
	buf_free(&b);
	return ok;
}

static bool stream_flush(struct source *source, bool *unsent, struct err *e)
{
	struct stream *s = stream_of(source);
	int result = PQflush(s->conn);

	*unsent = result == 1;
	return result >= 0 || pg_fail(s->pg, NULL, e);
}

/* Waits for the socket and takes in what it has; false at the end of time or of it. */
static bool wait_for(struct stream *s, short events, int64_t end)
{
	struct pollfd fd = { .fd = PQsocket(s->conn), .events = events };
	int64_t left = end - clock_ms();

	return left > 0 && poll(&fd, 1, (int)left) > 0 && PQconsumeInput(s->conn) == 1;
}

/* The slot is released when the command completes, not at the end of the COPY. */
static void say_goodbye(struct stream *s, int64_t end)
{
	char *frame = NULL;
	int len;

	if (PQputCopyEnd(s->conn, NULL) != 1)
		return;
	while (PQflush(s->conn) == 1)
		if (!wait_for(s, POLLIN | POLLOUT, end))
			return;
	while ((len = PQgetCopyData(s->conn, &frame, 1)) >= 0) {
		PQfreemem(frame);
		frame = NULL;
		if (len == 0 ? !wait_for(s, POLLIN, end) : clock_ms() >= end)
			return;
	}
	while (PQisBusy(s->conn))
		if (!wait_for(s, POLLIN, end))
			return;
}

static void stream_close(struct source *source, int timeout_ms)
{
	struct stream *s = stream_of(source);

	say_goodbye(s, clock_ms() + timeout_ms);
	PQfreemem(s->frame);
	pg_close(s->pg);
	free(s);
}

static const struct source_ops stream_ops = {
	.by_message = true,
	.socket = stream_socket,
	.read = stream_read,
	.fill = stream_fill,
	.tell = stream_tell,
	.flush = stream_flush,
	.close = stream_close,
};

bool stream_open(const struct stream_options *options, struct source **out, struct err *e)
{
	struct pg_options o = { .conninfo = options->conninfo,
				.application = options->application,
				.replication = true };
	struct stream *s = xcalloc(1, sizeof *s);
	struct continuity_slot slot;
	bool ok = pg_open(&o, &s->pg, e);

	if (ok) {
		s->conn = pg_raw(s->pg);
		ok = continuity_check(s->pg, &options->continuity, &slot, e) &&
		     start(s, options, e);
	}
	if (ok) {
		s->source.ops = &stream_ops;
		*out = &s->source;
	} else {
		pg_close(s->pg);
		free(s);
		err_wrap(e, "stream of slot %s", options->slot);
	}
	return ok;
}
