#include "cdc/backlog.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/reader.h"
#include "pg/quote.h"
#include "pg/raw.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* In bytes of WAL, but for those that say how many times. */
enum {
	WORTH_IT = 16 << 20, /* less than that is streamed at once */
	LEAVE_TO_STREAM = 1 << 20,
	FIRST_STEP = 8 << 20,  /* so that there is something to apply soon */
	LAST_STEP = 256 << 20, /* a step is at most that long, */
	LONGER = 4,            /* but for one that looks for the end of a large transaction */
	MOST_AGAIN = 1 << 30,  /* so much is read again for the last step */
	STEP_GROWTH = 4,
	ADVANCE_AFTER = 512 << 20, /* it reads WAL again as well */
	ADVANCE_LAST = 16 << 20,  /* before the stream takes over, which decodes again from there */
	RESULT_BYTES = 512 << 20, /* what a step should make at most */
	READ_AGAIN = 4,           /* at most so many times what the step brings */
	NOTHING = 64,             /* a result that many times smaller than its WAL */
};

#define REST_SECONDS "0.1"

enum state {
	ASKING,  /* the slot is advanced if it is time, and the positions asked for */
	CALLING, /* the function runs */
	READING, /* its rows come */
	ENDING,  /* the COPY is over */
};

/* What comes after an answer. */
enum move {
	STEP,
	REST,    /* no step is worth it now, and the target is behind: the stream would idle */
	ADVANCE, /* so that the stream need not decode all that once more */
	OVER,
};

struct backlog {
	struct source source;
	struct arena arena;
	struct pg *pg;
	PGconn *conn; /* pg's */
	enum state state;
	const char *slot, *cursor, *plugin_options;
	struct continuity continuity;
	char *row;               /* libpq's */
	bool header;             /* of the COPY, seen */
	lsn_t at;                /* everything before it was handed on */
	lsn_t applied, advanced; /* durable at the target; what the slot knows of it */
	uint64_t step, limit;    /* the next one's length; at most */
	uint64_t asked;          /* WAL of the step at hand, at most */
	uint64_t read, made;     /* WAL of the one before; result of the last that ran */
	lsn_t restart;           /* where that was read from */
	bool nothing;            /* is what the one before that brought */
	lsn_t end;               /* to be applied before the stream takes over; 0: not yet known */
	bool is_ready;           /* the slot was advanced for that */
	struct standing {
		lsn_t flushed;       /* there is no more than that */
		lsn_t restart, next; /* of the cursor: reads from there, has given out that */
	} now;                       /* as last asked */
	uint64_t bytes;              /* drained so far */
	int64_t began_ms;
};

static struct backlog *backlog_of(struct source *source)
{
	return (struct backlog *)source;
}

static bool send(struct backlog *b, struct buf *sql, enum state state, struct err *e)
{
	bool ok = PQsendQuery(b->conn, buf_str(sql)) == 1 || pg_fail(b->pg, NULL, e);

	b->state = state;
	buf_free(sql);
	return ok;
}

/* So that what is durable is not read again after a crash. */
static void put_advance(struct backlog *b, struct buf *sql)
{
	char lsn[LSN_TEXT];

	lsn_format(b->applied, lsn);
	buf_puts(sql, "SELECT pg_replication_slot_advance(slot_name, ");
	buf_literal(sql, lsn);
	buf_puts(sql, ") FROM pg_replication_slots WHERE confirmed_flush_lsn < ");
	buf_literal(sql, lsn);
	buf_puts(sql, " AND slot_name = ");
	buf_literal(sql, b->slot);
	buf_puts(sql, "; ");
	b->advanced = b->applied;
}

static bool ask(struct backlog *b, enum move before, struct err *e)
{
	struct buf sql = BUF_INIT;

	b->now = (struct standing){ 0 };
	if (before == REST)
		buf_puts(&sql, "SELECT pg_sleep(" REST_SECONDS "); ");
	if (before == ADVANCE || b->applied >= b->advanced + ADVANCE_AFTER)
		put_advance(b, &sql);
	buf_puts(&sql, "SELECT pg_current_wal_flush_lsn(), restart_lsn, confirmed_flush_lsn "
		       "FROM pg_replication_slots WHERE slot_name = ");
	buf_literal(&sql, b->cursor);
	return send(b, &sql, ASKING, e);
}

static bool call(struct backlog *b, struct err *e)
{
	struct buf sql = BUF_INIT;
	char lsn[LSN_TEXT];

	buf_puts(&sql, "COPY (SELECT data FROM pg_logical_slot_get_binary_changes(");
	buf_literal(&sql, b->cursor);
	buf_puts(&sql, ", ");
	buf_literal(&sql, lsn_format(b->at + b->asked, lsn));
	buf_printf(&sql, ", NULL, VARIADIC ARRAY[%s])) TO STDOUT (FORMAT binary)",
		   b->plugin_options);
	b->made = 0;
	b->header = false;
	return send(b, &sql, CALLING, e);
}

/* --- what the next step is --- */

/* A result that is large for its WAL (long values compress well) makes for shorter steps. */
static void adapt_step(struct backlog *b)
{
	if (b->made > RESULT_BYTES / 4 && b->read) {
		uint64_t fits = (uint64_t)((double)b->read / (double)b->made * RESULT_BYTES);
		b->limit = fits < FIRST_STEP ? FIRST_STEP : fits < LAST_STEP ? fits : LAST_STEP;
	}
	b->step = b->step * STEP_GROWTH < b->limit ? b->step * STEP_GROWTH : b->limit;
}

/*
 * Once, when the end is first in sight, everything up to there is read, however little it is beside
 * what is read again for it: the stream would read that again too, while the target idles.
 * Then the target has it all before the stream takes over. A source that goes on writing does not
 * put that off.
 */
static enum move choose_ending(struct backlog *b, uint64_t left, uint64_t again)
{
	if (!b->end) {
		bool all = left >= LEAVE_TO_STREAM && left == b->asked && again <= MOST_AGAIN;
		b->end = all ? b->now.flushed : b->at;
		if (all)
			return STEP;
	}
	if (b->applied + LEAVE_TO_STREAM < b->end)
		return REST;
	if (b->is_ready || b->applied < b->advanced + ADVANCE_LAST)
		return OVER;
	b->is_ready = true;
	return ADVANCE;
}

static enum move choose(struct backlog *b)
{
	const struct standing *now = &b->now;
	uint64_t left = now->flushed > now->next ? now->flushed - now->next : 0;
	uint64_t again = now->next > now->restart ? now->next - now->restart : 0;

	/* where a large transaction is under way each step would read it again before it ends */
	bool nothing = b->read && b->made < b->read / NOTHING;
	bool lost = nothing && b->nothing && now->restart == b->restart;
	uint64_t step;

	b->restart = now->restart;
	b->nothing = nothing;
	if (b->step < again / READ_AGAIN)
		b->step = again / READ_AGAIN < b->limit ? again / READ_AGAIN : b->limit;
	step = nothing ? b->limit * LONGER : b->step;
	b->asked = left < step ? left : step;
	if (lost)
		return OVER;
	if (left < LEAVE_TO_STREAM || again > READ_AGAIN * b->asked)
		return choose_ending(b, left, again);
	return STEP;
}

static enum source_result over(struct backlog *b, struct source_frame *out)
{
	char lsn[LSN_TEXT];

	log_event(LOG_INFO, "drain.end", "lsn=%s bytes=%" PRIu64 " seconds=%.1f",
		  lsn_format(b->at, lsn), b->bytes, (double)(clock_ms() - b->began_ms) / 1000);
	*out = (struct source_frame){ .wal_end = b->at };
	return SOURCE_OVER;
}

static enum source_result failed(struct backlog *b, const PGresult *res, struct err *e)
{
	pg_fail(b->pg, res, e);
	return SOURCE_FAILED;
}

/* It ended the session, and may not have closed the connection yet. */
static bool has_ended(const struct backlog *b, const struct err *e)
{
	return pg_lost(b->pg) || strncmp(e->sqlstate, "57P", 3) == 0;
}

/* What the server refuses here it may still stream. */
static enum source_result refused(struct backlog *b, const PGresult *res, struct source_frame *out,
				  struct err *e)
{
	struct arena scratch = ARENA_INIT;

	pg_fail(b->pg, res, e);
	if (has_ended(b, e))
		return SOURCE_FAILED;
	log_event(LOG_WARN, "drain.refused", "reason=%s", log_quote(&scratch, e->text));
	arena_finish(&scratch);
	err_clear(e);
	return over(b, out);
}

/* --- results --- */

/* The next result, once it is there. False: not yet. NULL: that was the last. */
static bool next_result(struct backlog *b, PGresult **res)
{
	if (PQisBusy(b->conn))
		return false;
	*res = PQgetResult(b->conn);
	return true;
}

static void read_standing(const PGresult *res, struct standing *out)
{
	const struct pg_result *r = (const struct pg_result *)res;

	*out = (struct standing){ pg_lsn(r, 0, 0), pg_lsn(r, 0, 1), pg_lsn(r, 0, 2) };
}

/* The positions, after which the next step is on its way or it is over. */
static enum source_result decide(struct backlog *b, struct source_frame *out, struct err *e)
{
	/* the cursor begins where the slot stood when it was copied */
	if (!b->at && !continuity_covers(&b->continuity, b->now.next, e))
		return SOURCE_FAILED;
	b->read = b->at && b->now.next > b->at ? b->now.next - b->at : 0;
	b->bytes += b->read;
	b->at = b->now.next;
	adapt_step(b);
	enum move move = choose(b);
	if (move == OVER)
		return over(b, out);
	if (!(move == STEP ? call(b, e) : ask(b, move, e)))
		return SOURCE_FAILED;
	*out = (struct source_frame){ .wal_end = b->at };
	return SOURCE_KEEPALIVE;
}

static enum source_result read_answer(struct backlog *b, struct source_frame *out, struct err *e)
{
	PGresult *res = NULL;

	while (next_result(b, &res) && res) {
		if (PQresultStatus(res) != PGRES_TUPLES_OK) {
			enum source_result result = refused(b, res, out, e);
			PQclear(res);
			return result;
		}
		if (PQnfields(res) == 3 && PQntuples(res) == 1)
			read_standing(res, &b->now);
		PQclear(res);
	}
	if (res || PQisBusy(b->conn))
		return SOURCE_DRY;
	if (!b->now.next) {
		err_set(e, ERR_RETRY, "the cursor of slot %s is gone", b->slot);
		return SOURCE_FAILED;
	}
	return decide(b, out, e);
}

static enum source_result read_call(struct backlog *b, struct source_frame *out, struct err *e)
{
	PGresult *res;

	if (!next_result(b, &res))
		return SOURCE_DRY;
	enum source_result result = SOURCE_DRY;
	if (PQresultStatus(res) == PGRES_COPY_OUT)
		b->state = READING;
	else
		result = refused(b, res, out, e);
	PQclear(res);
	return result;
}

/* The COPY's header stands before its first row. */
static void skip_header(struct backlog *b, struct reader *r)
{
	static const char signature[11] = "PGCOPY\n\377\r\n";
	struct bytes start = rd_take(r, sizeof signature);

	if (r->bad || memcmp(start.data, signature, sizeof signature) != 0)
		r->bad = true;
	rd_u32(r); /* flags */
	rd_take(r, rd_u32(r));
	b->header = true;
}

/* One row of one column, or the end of them. */
static enum source_result parse(struct backlog *b, struct bytes row, struct source_frame *out,
				struct err *e)
{
	struct reader r = rd_init(row);

	*out = (struct source_frame){ 0 };
	if (!b->header)
		skip_header(b, &r);
	uint16_t columns = rd_u16(&r);
	if (columns == 1)
		out->payload = rd_take(&r, rd_u32(&r));
	else if (columns != UINT16_MAX)
		r.bad = true;
	if (!rd_done(&r)) {
		err_set(e, ERR_INPUT, "backlog of slot %s: malformed %zu-byte row", b->slot,
			row.len);
		return SOURCE_FAILED;
	}
	b->made += out->payload.len;
	return columns == 1 ? SOURCE_DATA : SOURCE_DRY;
}

static enum source_result read_row(struct backlog *b, struct source_frame *out, struct err *e)
{
	enum source_result result = SOURCE_DRY;

	while (result == SOURCE_DRY) {
		PQfreemem(b->row);
		b->row = NULL;
		int len = PQgetCopyData(b->conn, &b->row, 1);
		if (len == 0)
			return SOURCE_DRY;
		if (len == -1) {
			b->state = ENDING;
			return SOURCE_DRY;
		}
		if (len < 0) {
			pg_fail(b->pg, NULL, e);
			return SOURCE_FAILED;
		}
		result = parse(b, (struct bytes){ b->row, (size_t)len }, out, e);
	}
	return result;
}

/* The COPY begins before the function runs. Once rows were handed on, an error leaves nothing to go
 * on from. */
static enum source_result read_end(struct backlog *b, struct source_frame *out, struct err *e)
{
	PGresult *res = NULL;

	while (next_result(b, &res) && res) {
		enum source_result result = SOURCE_DRY;
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			result = b->header ? failed(b, res, e) : refused(b, res, out, e);
		PQclear(res);
		if (result != SOURCE_DRY)
			return result;
	}
	if (PQisBusy(b->conn))
		return SOURCE_DRY;
	return ask(b, STEP, e) ? SOURCE_DRY : SOURCE_FAILED;
}

static enum source_result backlog_read(struct source *source, struct source_frame *out,
				       struct err *e)
{
	struct backlog *b = backlog_of(source);
	enum state before;
	enum source_result result;

	do {
		before = b->state;
		switch (before) {
		case ASKING:
			return read_answer(b, out, e);
		case CALLING:
			result = read_call(b, out, e);
			break;
		case READING:
			result = read_row(b, out, e);
			break;
		case ENDING:
			result = read_end(b, out, e);
			break;
		}
	} while (result == SOURCE_DRY && b->state != before);
	return result;
}

static int backlog_socket(const struct source *source)
{
	return PQsocket(((const struct backlog *)source)->conn);
}

static bool backlog_fill(struct source *source, struct err *e)
{
	struct backlog *b = backlog_of(source);

	return PQconsumeInput(b->conn) == 1 || pg_fail(b->pg, NULL, e);
}

/* The server hears of it between steps. */
static bool backlog_tell(struct source *source, lsn_t received, lsn_t applied, struct err *e)
{
	(void)received, (void)e;
	backlog_of(source)->applied = applied;
	return true;
}

static bool backlog_flush(struct source *source, bool *unsent, struct err *e)
{
	(void)source, (void)e;
	*unsent = false;
	return true;
}

static void backlog_close(struct source *source, int timeout_ms)
{
	struct backlog *b = backlog_of(source);

	(void)timeout_ms; /* the slot is not held */
	PQfreemem(b->row);
	if (b->conn && PQtransactionStatus(b->conn) == PQTRANS_ACTIVE)
		pg_cancel(b->pg);
	pg_close(b->pg);
	arena_finish(&b->arena);
	free(b);
}

static const struct source_ops backlog_ops = {
	.socket = backlog_socket,
	.read = backlog_read,
	.fill = backlog_fill,
	.tell = backlog_tell,
	.flush = backlog_flush,
	.close = backlog_close,
};

/* --- opening --- */

static bool worth_it(struct backlog *b, lsn_t applied, bool *worth, struct err *e)
{
	char lsn[LSN_TEXT];
	const char *params[] = { b->slot, lsn_format(applied, lsn) };
	struct pg_result *r = NULL;
	bool ok = pg_query(b->pg,
			   "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), "
			   "greatest(confirmed_flush_lsn, $2::pg_lsn)) "
			   "FROM pg_replication_slots WHERE slot_name = $1 AND NOT active",
			   2, params, &r, e);

	*worth = ok && pg_rows(r) && pg_int(r, 0, 0) >= WORTH_IT;
	pg_result_free(r);
	return ok;
}

/* The name is this connection's own: a killed run's cursor may still be going away. */
static bool make_cursor(struct backlog *b)
{
	struct arena scratch = ARENA_INIT;
	struct err e = ERR_INIT;

	b->cursor = arena_printf(&b->arena, "%.40s_d%d", b->slot, pg_backend_pid(b->pg));
	const char *params[] = { b->slot, b->cursor };
	bool made = pg_query(b->pg, "SELECT pg_copy_logical_replication_slot($1, $2, true)", 2,
			     params, NULL, &e);
	if (!made)
		log_event(LOG_WARN, "drain.refused", "reason=%s", log_quote(&scratch, e.text));
	arena_finish(&scratch);
	return made;
}

/* What decoding may hold before it writes a transaction to disk and reads it back; the server's
 * own setting where that is more. */
#define ROOM                                                                                        \
	"SET work_mem = '64MB'; SELECT set_config(name, greatest(setting::int, 256 * 1024)::text, " \
	"false) FROM pg_settings WHERE name = 'logical_decoding_work_mem'"

bool backlog_open(const struct backlog_options *o, struct source **out, struct err *e)
{
	struct pg_options options = { .conninfo = o->conninfo, .application = o->application };
	struct backlog *b = xcalloc(1, sizeof *b);
	struct continuity_slot slot;
	bool worth = false;

	b->source.ops = &backlog_ops;
	b->slot = arena_strdup(&b->arena, o->slot);
	b->plugin_options = arena_strdup(&b->arena, o->plugin_options);
	b->continuity = o->continuity;
	b->continuity.slot = b->slot;
	b->step = FIRST_STEP / STEP_GROWTH;
	b->limit = LAST_STEP;
	b->applied = b->advanced = o->applied;
	b->began_ms = clock_ms();
	bool ok = pg_open(&options, &b->pg, e) &&
		  continuity_check(b->pg, &o->continuity, &slot, e) &&
		  worth_it(b, o->applied, &worth, e);
	worth = worth && make_cursor(b);
	if (ok && worth) {
		b->conn = pg_raw(b->pg);
		log_event(LOG_INFO, "drain.begin", "slot=%s", b->slot);
		ok = pg_exec(b->pg, ROOM, e) && ask(b, STEP, e);
	}
	if (ok && worth)
		*out = &b->source;
	else
		backlog_close(&b->source, 0);
	return ok || err_wrap(e, "backlog of slot %s", o->slot);
}
