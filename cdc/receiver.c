#include "cdc/receiver.h"

#include "cdc/assemble.h"
#include "cdc/backlog.h"
#include "cdc/option.h"
#include "cdc/position.h"
#include "cdc/queue.h"
#include "cdc/stream.h"
#include "core/buf.h"
#include "core/clock.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	STATUS_MS = 1000,      /* while there is something to tell, or the queue is full */
	STATUS_IDLE_MS = 5000, /* otherwise */
	GOODBYE_MS = 500,
	HEAP_BYTES = 64 << 10, /* in the queue, or of one transaction: more is on its way */
	FILL_BYTES = 8 << 10,  /* libpq takes about as much in at once */
};

struct receiver {
	struct queue *queue;
	int wake; /* eventfd: there is room in the queue, or the end has come */
	atomic_bool stopping, full, drains;
	_Atomic int64_t starved_us;
	pthread_t thread;

	pthread_mutex_t lock; /* over these three */
	struct position position;
	lsn_t received;
	lsn_t recorded; /* of the position, in the ledger */

	/* the thread's own */
	struct arena arena;
	struct stream_options stream; /* for when the backlog is read */
	struct source *source;
	lsn_t delivered; /* commit LSN of the last transaction */
	struct assembler *assembler;
	struct transaction *held; /* whole, but the queue is full */
	lsn_t told_applied, told_received;
	int64_t told_at;
	bool reply_wanted, unsent;
};

static void wake(struct receiver *r)
{
	uint64_t one = 1;
	ssize_t n = write(r->wake, &one, sizeof one);

	(void)n; /* full means that a wake-up is under way */
}

/*
 * The flag is up before the second try: either that finds the room that receiver_next
 * has made meanwhile, or receiver_next finds the flag.
 */
static bool push_held(struct receiver *r)
{
	if (!queue_push(r->queue, r->held, 0)) {
		atomic_store(&r->full, true);
		if (!queue_push(r->queue, r->held, 0))
			return false;
	}
	atomic_store(&r->full, false);
	r->held = NULL;
	return true;
}

/* Commits come in order: one that does not is a repetition. The applier knows no such thing. */
static bool is_repeated(struct receiver *r, const struct transaction *t)
{
	if (t->commit_lsn < r->delivered || (t->first && t->commit_lsn == r->delivered))
		return true;
	r->delivered = t->commit_lsn;
	return false;
}

/* Known to the position before it can be confirmed. Nothing to do is nothing to wait for. */
static void deliver(struct receiver *r, struct transaction *t, lsn_t wal_end)
{
	bool empty = t && t->first && t->last && !t->nchanges;

	pthread_mutex_lock(&r->lock);
	r->received = wal_end > r->received ? wal_end : r->received;
	if (t && !empty)
		position_deliver(&r->position, t);
	else if (empty)
		position_idle(&r->position, t->end_lsn);
	position_open(&r->position, assembler_open(r->assembler));
	pthread_mutex_unlock(&r->lock);
	if (empty)
		transaction_destroy(t);
	else
		r->held = t;
}

static bool on_data(struct receiver *r, const struct source_frame *f, struct err *e)
{
	struct transaction *t;

	if (!assembler_feed(r->assembler, f->payload, &t, e))
		return false;
	if (t && is_repeated(r, t)) {
		transaction_destroy(t);
		t = NULL;
	}
	deliver(r, t, f->wal_end);
	if (r->held)
		push_held(r);
	return true;
}

static void on_keepalive(struct receiver *r, const struct source_frame *f)
{
	pthread_mutex_lock(&r->lock);
	r->received = f->wal_end > r->received ? f->wal_end : r->received;
	position_idle(&r->position, f->wal_end);
	pthread_mutex_unlock(&r->lock);
	r->reply_wanted |= f->reply_wanted;
}

static lsn_t known(struct receiver *r)
{
	lsn_t before = r->stream.continuity.known;

	pthread_mutex_lock(&r->lock);
	lsn_t now = r->recorded;
	pthread_mutex_unlock(&r->lock);
	return now > before ? now : before;
}

/* The backlog is read: the stream goes on from there. */
static bool take_over(struct receiver *r, lsn_t at, struct err *e)
{
	source_close(r->source, GOODBYE_MS);
	r->source = NULL;
	r->stream.start = at > r->stream.start ? at : r->stream.start;
	r->stream.continuity.known = known(r);
	r->told_at = 0;
	if (!stream_open(&r->stream, &r->source, e))
		return false;
	atomic_store(&r->drains, false);
	return true;
}

/* Everything that has been fetched, as far as the queue takes it. */
static bool drain(struct receiver *r, struct err *e)
{
	struct source_frame f;

	if (r->held && !push_held(r))
		return true;
	while (!r->held) {
		switch (source_read(r->source, &f, e)) {
		case SOURCE_DATA:
			if (!on_data(r, &f, e))
				return false;
			break;
		case SOURCE_KEEPALIVE:
			on_keepalive(r, &f);
			break;
		case SOURCE_OVER:
			if (!take_over(r, f.wal_end, e))
				return false;
			break;
		case SOURCE_DRY:
			return true;
		case SOURCE_FAILED:
			return false;
		}
	}
	return true;
}

/* What the source is told. */
struct standing {
	lsn_t applied, received;
};

static struct standing standing(struct receiver *r)
{
	pthread_mutex_lock(&r->lock);
	lsn_t applied = r->position.applied, recorded = r->recorded;
	struct standing now = { applied < recorded ? applied : recorded, r->received };
	pthread_mutex_unlock(&r->lock);
	return now;
}

/* When the next status is due. */
static int64_t report_due(const struct receiver *r, struct standing now)
{
	bool news = now.received != r->told_received;

	/* what is applied moves when the ledger has it: that is seldom enough */
	if (r->reply_wanted || now.applied != r->told_applied)
		return r->told_at;
	return r->told_at + (news || r->held ? STATUS_MS : STATUS_IDLE_MS);
}

static bool tell(struct receiver *r, struct standing now, struct err *e)
{
	r->told_applied = now.applied;
	r->told_received = now.received;
	r->told_at = clock_ms();
	r->reply_wanted = false;
	return source_tell(r->source, now.received, now.applied, e);
}

static bool report(struct receiver *r, struct err *e)
{
	struct standing now = standing(r);

	if (clock_ms() >= report_due(r, now) && !tell(r, now, e))
		return false;
	return source_flush(r->source, &r->unsent, e);
}

/*
 * The applier has work, or the transaction is a long one. The walsender writes message by
 * message, and reading it so costs a switch of tasks for each, on both sides.
 */
static bool nobody_waits(struct receiver *r)
{
	return r->source->ops->by_message &&
	       (queue_bytes(r->queue) > HEAP_BYTES || assembler_bytes(r->assembler) > HEAP_BYTES);
}

static bool fill_is_ready(struct receiver *r)
{
	int bytes = 0;

	return ioctl(source_socket(r->source), FIONREAD, &bytes) == 0 && bytes >= FILL_BYTES;
}

/* A full queue leaves the socket alone; a confirmation is noticed within a second. */
static bool wait_for_news(struct receiver *r, struct err *e)
{
	short events = (short)((r->held ? 0 : POLLIN) | (r->unsent ? POLLOUT : 0));
	struct pollfd fds[] = {
		{ .fd = events ? source_socket(r->source) : -1, .events = events },
		{ .fd = r->wake, .events = POLLIN },
	};
	int64_t left = report_due(r, standing(r)) - clock_ms();
	uint64_t count;

	if (nobody_waits(r) && !fill_is_ready(r))
		clock_sleep_ms(1);
	left = left < 1 ? 1 : left > STATUS_MS ? STATUS_MS : left;
	int64_t since = clock_us();
	int ready = poll(fds, 2, (int)left);
	if (!r->held)
		atomic_fetch_add(&r->starved_us, clock_us() - since);
	if (ready <= 0)
		return true;
	if (fds[1].revents && read(r->wake, &count, sizeof count) < 0)
		return true;
	return !fds[0].revents || source_fill(r->source, e);
}

static void *receive(void *arg)
{
	struct receiver *r = arg;
	struct err e = ERR_INIT;
	bool ok = true;

	while (ok && !atomic_load(&r->stopping))
		ok = drain(r, &e) && report(r, &e) && wait_for_news(r, &e);
	queue_close(r->queue, ok ? NULL : &e);
	return NULL;
}

static const char *plugin_options(struct receiver *r, const struct receiver_options *o,
				  enum option_form form)
{
	struct option_list list = { .form = form };

	o->ops->options(&o->decoder, &list);
	const char *text = arena_strdup(&r->arena, buf_str(&list.text));
	buf_free(&list.text);
	return text;
}

/* The stream, or first the backlog that would keep it busy for long. */
static bool open_source(struct receiver *r, const struct receiver_options *o, struct err *e)
{
	r->stream = (struct stream_options){
		.conninfo = arena_strdup(&r->arena, o->conninfo),
		.application = arena_strdup(&r->arena, o->application),
		.slot = arena_strdup(&r->arena, o->slot),
		.continuity = o->continuity,
		.start = o->start_lsn,
		.plugin_options = plugin_options(r, o, OPTION_REPLICATION),
	};
	struct backlog_options b = { .conninfo = o->conninfo,
				     .application = o->application,
				     .slot = o->slot,
				     .continuity = o->continuity,
				     .applied = o->start_lsn,
				     .plugin_options = plugin_options(r, o, OPTION_SQL) };
	bool ok = backlog_open(&b, &r->source, e);
	atomic_store(&r->drains, ok && r->source);
	return ok && (r->source || stream_open(&r->stream, &r->source, e));
}

static void destroy(struct receiver *r)
{
	source_close(r->source, GOODBYE_MS);
	transaction_destroy(r->held);
	queue_destroy(r->queue);
	assembler_destroy(r->assembler);
	position_finish(&r->position);
	pthread_mutex_destroy(&r->lock);
	close(r->wake);
	arena_finish(&r->arena);
	free(r);
}

bool receiver_start(const struct receiver_options *o, struct receiver **out, struct err *e)
{
	struct receiver *r = xcalloc(1, sizeof *r);

	pthread_mutex_init(&r->lock, NULL);
	position_init(&r->position, o->start_lsn);
	r->recorded = o->start_lsn;
	r->queue = queue_create(o->queue_bytes);
	r->assembler = assembler_create(o->ops, o->part_bytes);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bool ok = r->wake >= 0 || err_set(e, ERR_RETRY, "no file descriptor left");
	ok = ok && open_source(r, o, e);
	if (ok && pthread_create(&r->thread, NULL, receive, r) != 0)
		ok = err_set(e, ERR_RETRY, "no thread for the stream of slot %s", o->slot);
	if (ok)
		*out = r;
	else
		destroy(r);
	return ok;
}

enum receive receiver_next(struct receiver *r, int timeout_ms, struct transaction **out,
			   struct err *e)
{
	switch (queue_pop(r->queue, timeout_ms, out, e)) {
	case QUEUE_TAKEN:
		if (atomic_load(&r->full))
			wake(r);
		return RECEIVED;
	case QUEUE_EMPTY:
		return RECEIVED_NOTHING;
	case QUEUE_CLOSED:
		break;
	}
	return RECEIVE_FAILED;
}

void receiver_confirm(struct receiver *r, lsn_t end_lsn)
{
	pthread_mutex_lock(&r->lock);
	position_confirm(&r->position, end_lsn);
	pthread_mutex_unlock(&r->lock);
}

lsn_t receiver_position(struct receiver *r)
{
	pthread_mutex_lock(&r->lock);
	lsn_t applied = r->position.applied;
	pthread_mutex_unlock(&r->lock);
	return applied;
}

void receiver_recorded(struct receiver *r, lsn_t position)
{
	pthread_mutex_lock(&r->lock);
	bool news = position > r->recorded;
	r->recorded = news ? position : r->recorded;
	pthread_mutex_unlock(&r->lock);
	if (news)
		wake(r);
}

void receiver_backlog(struct receiver *r, struct receiver_backlog *out)
{
	out->queued_bytes = queue_bytes(r->queue);
	out->starved_us = atomic_load(&r->starved_us);
	pthread_mutex_lock(&r->lock);
	out->received = r->received;
	out->oldest_commit_time = position_oldest(&r->position);
	pthread_mutex_unlock(&r->lock);
}

bool receiver_drains(const struct receiver *r)
{
	return atomic_load(&r->drains);
}

void receiver_stop(struct receiver *r)
{
	struct err ignored = ERR_INIT; /* the server hears the position when it can */

	if (!r)
		return;
	atomic_store(&r->stopping, true);
	wake(r);
	pthread_join(r->thread, NULL);
	if (r->source)
		tell(r, standing(r), &ignored);
	destroy(r);
}
