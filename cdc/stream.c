#include "cdc/stream.h"

#include "core/arena.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/reader.h"
#include "pg/quote.h"
#include "pg/raw.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

struct stream {
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
	buf_printf(&sql, " LOGICAL %s %s", lsn_format(o->start, lsn), o->plugin_options);
	PGresult *res = PQexec(s->conn, buf_str(&sql));
	bool ok = PQresultStatus(res) == PGRES_COPY_BOTH || pg_fail(s->pg, res, e);
	if (ok && PQsetnonblocking(s->conn, 1) != 0)
		ok = pg_fail(s->pg, NULL, e);
	PQclear(res);
	buf_free(&sql);
	return ok;
}

bool stream_open(const struct stream_options *options, struct stream **out, struct err *e)
{
	struct pg_options o = { .conninfo = options->conninfo,
				.application = options->application,
				.replication = true };
	struct stream *s = xcalloc(1, sizeof *s);
	bool ok = pg_open(&o, &s->pg, e);

	if (ok) {
		s->conn = pg_raw(s->pg);
		ok = start(s, options, e);
	}
	if (ok) {
		*out = s;
	} else {
		pg_close(s->pg);
		free(s);
		err_wrap(e, "stream of slot %s", options->slot);
	}
	return ok;
}

int stream_socket(const struct stream *s)
{
	return PQsocket(s->conn);
}

/* The COPY is over though nobody asked: an error follows, or the server shuts down. */
static enum stream_result ended(struct stream *s, struct err *e)
{
	PGresult *res = PQgetResult(s->conn);

	if (PQresultStatus(res) == PGRES_FATAL_ERROR)
		pg_fail(s->pg, res, e);
	else
		err_set(e, ERR_RETRY, "the server ended the stream");
	PQclear(res);
	return STREAM_FAILED;
}

static enum stream_result parse(struct bytes frame, struct stream_frame *out, struct err *e)
{
	struct reader r = rd_init(frame);
	uint8_t kind = rd_u8(&r);

	if (kind == 'w') {
		lsn_t from = rd_u64(&r), end = rd_u64(&r);
		rd_u64(&r); /* the server's clock */
		*out = (struct stream_frame){ .wal_end = from > end ? from : end };
		out->payload = rd_take(&r, rd_left(&r));
		if (rd_done(&r))
			return STREAM_DATA;
	} else if (kind == 'k') {
		*out = (struct stream_frame){ .wal_end = rd_u64(&r) };
		rd_u64(&r); /* the server's clock */
		out->reply_wanted = rd_u8(&r) != 0;
		if (rd_done(&r))
			return STREAM_KEEPALIVE;
	}
	err_set(e, ERR_INPUT, "replication stream: malformed %zu-byte frame 0x%02x", frame.len,
		kind);
	return STREAM_FAILED;
}

enum stream_result stream_read(struct stream *s, struct stream_frame *out, struct err *e)
{
	PQfreemem(s->frame);
	s->frame = NULL;
	int len = PQgetCopyData(s->conn, &s->frame, 1);
	if (len == 0)
		return STREAM_DRY;
	if (len == -1)
		return ended(s, e);
	if (len < 0) {
		pg_fail(s->pg, NULL, e);
		return STREAM_FAILED;
	}
	return parse((struct bytes){ s->frame, (size_t)len }, out, e);
}

bool stream_fill(struct stream *s, struct err *e)
{
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

bool stream_send_status(struct stream *s, lsn_t received, lsn_t applied, struct err *e)
{
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

bool stream_flush(struct stream *s, bool *unsent, struct err *e)
{
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

void stream_close(struct stream *s, int timeout_ms)
{
	if (!s)
		return;
	say_goodbye(s, clock_ms() + timeout_ms);
	PQfreemem(s->frame);
	pg_close(s->pg);
	free(s);
}
