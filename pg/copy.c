#include "pg/copy.h"

#include "core/buf.h"
#include "pg/raw.h"

static bool copy_start(struct pg *pg, const char *sql, ExecStatusType want, struct err *e)
{
	PGresult *res = PQexec(pg_raw(pg), sql);
	bool ok = PQresultStatus(res) == want || pg_fail_copy(pg, res, e);

	PQclear(res);
	return ok;
}

/* Reads what is left of a COPY or of its answer. True: the server called it complete. */
static bool copy_result(struct pg *pg, struct copy_count *count, struct err *e)
{
	PGresult *res;
	bool ok = true;

	while ((res = PQgetResult(pg_raw(pg))) != NULL) {
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			ok = pg_fail_copy(pg, res, e);
		else if (count)
			count->rows += pg_affected((struct pg_result *)res);
		PQclear(res);
		if (pg_lost(pg))
			break;
	}
	return ok && !pg_lost(pg);
}

/* Ends a COPY TO STDOUT that nobody reads any more. */
static void drain_out(struct pg *from)
{
	char *row;
	struct err ignored = ERR_INIT;

	pg_cancel(from);
	while (PQgetCopyData(pg_raw(from), &row, 0) > 0)
		PQfreemem(row);
	copy_result(from, NULL, &ignored);
}

static bool abort_in(struct pg *to, const char *why, struct err *e)
{
	struct err ignored = ERR_INIT;

	(void)e;
	PQputCopyEnd(pg_raw(to), why);
	copy_result(to, NULL, &ignored);
	return false;
}

enum pump { PUMP_DONE, PUMP_SOURCE_FAILED, PUMP_TARGET_FAILED, PUMP_CANCELLED };

/* Rows go on in messages of about this size: a message each costs the target more. */
enum { MESSAGE_BYTES = 32 << 10 };

static bool send_pending(PGconn *to, struct buf *pending)
{
	bool sent = !pending->len || PQputCopyData(to, pending->data, (int)pending->len) == 1;

	buf_clear(pending);
	return sent;
}

/* A row as large as a message is not copied once more. */
static bool send_row(PGconn *to, struct buf *pending, const char *row, size_t len)
{
	if (pending->len + len > MESSAGE_BYTES && !send_pending(to, pending))
		return false;
	if (len >= MESSAGE_BYTES)
		return PQputCopyData(to, row, (int)len) == 1;
	buf_add(pending, row, len);
	return true;
}

static enum pump pump(PGconn *from, PGconn *to, const atomic_bool *cancel, struct buf *pending,
		      uint64_t *bytes)
{
	for (;;) {
		char *row;
		int len = PQgetCopyData(from, &row, 0);
		if (len == -1)
			return send_pending(to, pending) ? PUMP_DONE : PUMP_TARGET_FAILED;
		if (len < 0)
			return PUMP_SOURCE_FAILED;
		bool sent = send_row(to, pending, row, (size_t)len);
		PQfreemem(row);
		if (!sent)
			return PUMP_TARGET_FAILED;
		*bytes += (uint64_t)len;
		if (atomic_load_explicit(cancel, memory_order_relaxed))
			return PUMP_CANCELLED;
	}
}

static bool finish_in(struct pg *to, struct copy_count *count, struct err *e)
{
	if (PQputCopyEnd(pg_raw(to), NULL) != 1)
		return pg_fail_copy(to, NULL, e);
	return copy_result(to, count, e);
}

bool pg_copy_count(struct pg *from, const char *out_sql, struct copy_count *count, struct err *e)
{
	char *row;
	int len;

	*count = (struct copy_count){ 0, 0 };
	if (!copy_start(from, out_sql, PGRES_COPY_OUT, e))
		return false;
	while ((len = PQgetCopyData(pg_raw(from), &row, 0)) > 0) {
		count->bytes += (uint64_t)len;
		PQfreemem(row);
	}
	return (len == -1 || pg_fail_copy(from, NULL, e)) && copy_result(from, count, e);
}

bool pg_copy_rows(struct pg *from, const char *out_sql, struct pg *to, const char *in_sql,
		  const atomic_bool *cancel, struct copy_count *count, struct err *e)
{
	if (!copy_start(from, out_sql, PGRES_COPY_OUT, e))
		return err_wrap(e, "source");
	if (!copy_start(to, in_sql, PGRES_COPY_IN, e)) {
		drain_out(from);
		return err_wrap(e, "target");
	}
	struct buf pending = BUF_INIT;
	enum pump end = pump(pg_raw(from), pg_raw(to), cancel, &pending, &count->bytes);
	buf_free(&pending);
	switch (end) {
	case PUMP_DONE:
		if (!copy_result(from, NULL, e)) /* a source that fails at the end fails here */
			return abort_in(to, "the source failed", e) || err_wrap(e, "source");
		return finish_in(to, count, e) || err_wrap(e, "target");
	case PUMP_SOURCE_FAILED:
		pg_fail_copy(from, NULL, e);
		copy_result(from, NULL, e);
		return abort_in(to, "the source failed", e) || err_wrap(e, "source");
	case PUMP_TARGET_FAILED:
		drain_out(from);
		if (finish_in(to, NULL, e))
			err_set(e, ERR_RETRY, "COPY was ended by the server");
		return err_wrap(e, "target");
	case PUMP_CANCELLED:
		drain_out(from);
		abort_in(to, "cancelled", e);
		break;
	}
	return err_set(e, ERR_RETRY, "copy cancelled");
}
