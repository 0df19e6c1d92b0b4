#include "service/pipeline.h"

#include "cdc/receiver.h"
#include "core/clock.h"
#include "core/log.h"
#include "pg/flush.h"
#include "pg/progress.h"
#include "service/partitions.h"
#include "service/unchanged.h"
#include "sink/again.h"
#include "sink/apply.h"
#include "sink/durable.h"
#include "snapshot/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

/* A batch ends at either; a transaction larger than a part comes in parts. */
enum { BATCH_CHANGES = 10000, BATCH_BYTES = 16 << 20 };

enum { UNSEEN_MS = 5 }; /* until a transaction is asked about again */

/*
 * Of the memory setting: the queue, one part being put together. A part is no larger than what
 * keeps the target busy while the next one comes.
 */
enum { QUEUE_SHARE = 4, PART_SHARE = 16, PART_BYTES = 4 << 20 };

struct pipeline {
	struct session *session;
	struct arena arena;
	struct pg *target; /* the applier's */
	struct progress *progress;
	struct receiver *receiver;
	struct partitions *partitions;
	struct judge *judge;
	struct again *again;
	struct applier *applier;
	struct durable durable;
	struct transaction
	    *unseen;      /* received, and not visible at the source yet: see partitions */
	lsn_t unseen_lsn; /* of the last such */
	lsn_t sent_end;   /* of what the applier waits for; 0: it ends with a part */
	struct effort effort;
	lsn_t skip_to; /* transactions up to it were applied before this pipeline was opened */
	bool expected; /* the slot has to send the one at skip_to once more */
	bool failed;
};

static bool load_progress(struct pipeline *p, struct err *e)
{
	const char *name = p->session->migration->name;

	if (!progress_load(p->target, name, "forward", &p->arena, &p->progress, e))
		return false;
	if (!p->progress)
		return err_set(e, ERR_CONFIG, "the ledger has no progress of migration %s", name);
	p->skip_to = p->progress->lsn;
	return true;
}

static void table_list(const struct plan *plan, struct arena *a, struct decoder_options *out)
{
	struct relation *tables = arena_array(a, plan->ntables, sizeof *tables);

	for (unsigned i = 0; i < plan->ntables; i++) {
		if (plan->tables[i].partitioned)
			return; /* its partitions to come have no names yet */
		tables[i].schema = plan->tables[i].schema;
		tables[i].name = plan->tables[i].name;
	}
	out->tables = tables;
	out->ntables = plan->ntables;
}

static void publication_list(const struct session *s, struct arena *a, struct decoder_options *out)
{
	const char **names = arena_array(a, 2, sizeof *names);

	for (unsigned i = 0; i < 2; i++)
		if (s->published[i].ntables)
			names[out->npublications++] = s->published[i].name;
	out->publications = names;
}

static size_t part_bytes(size_t memory)
{
	return memory / PART_SHARE < PART_BYTES ? memory / PART_SHARE : PART_BYTES;
}

static bool start_receiver(struct pipeline *p, struct err *e)
{
	const struct session *s = p->session;
	struct receiver_options o = { .conninfo = s->migration->source,
				      .application = s->source_options.application,
				      .slot = s->slot,
				      .continuity = s->continuity,
				      .ops = decoder_find(s->migration->decoder),
				      .start_lsn = p->progress->lsn,
				      .queue_bytes = s->migration->memory / QUEUE_SHARE,
				      .part_bytes = part_bytes(s->migration->memory) };

	table_list(s->plan, &p->arena, &o.decoder);
	publication_list(s, &p->arena, &o.decoder);
	return receiver_start(&o, &p->receiver, e) || err_wrap(e, "stream from slot %s", s->slot);
}

/* What the progress row says may not be on disk yet: the stream starts from what is. */
static bool begin_durable(struct pipeline *p, struct err *e)
{
	p->durable =
	    (struct durable){ .force = p->session->target, .mark = applier_mark(p->applier) };
	if (strcmp(p->session->migration->synchronous_commit, "off") == 0 &&
	    !flush_later(p->target, &p->durable.later, e))
		return false;
	return flush_force(p->session->target, p->durable.mark, e);
}

static bool create_judge(struct pipeline *p, struct err *e)
{
	const struct session *s = p->session;
	struct reread_options o = { .plan = s->plan,
				    .source = s->source_options,
				    .target = p->target,
				    .slot = s->slot,
				    .plugin = s->migration->decoder,
				    .applied = p->progress->lsn,
				    .early = p->again->early };

	return judge_create(&o, &p->judge, e);
}

/*
 * A source that was set back may have written past our position by now. Its slot went back with
 * it, and has to send the last transaction again that we know: another history has not got it.
 * Asked when the stream runs, and told nothing past that position before the first record.
 */
static bool expect_last(struct pipeline *p, struct err *e)
{
	struct continuity_slot slot;

	if (!continuity_check(p->session->source, &p->session->continuity, &slot, e))
		return false;
	p->expected = p->skip_to && slot.confirmed <= p->skip_to;
	return true;
}

/* owed: the slot has to send the transaction there once more; 0: none. */
static bool check_history(lsn_t owed, lsn_t position, struct err *e)
{
	char lsn[LSN_TEXT];

	return !owed || position <= owed ||
	       err_set(
		   e, ERR_CONFIG,
		   "the source does not have the transaction at %s, which the target has: it was "
		   "restored to an earlier state and went on from there; abort and start again",
		   lsn_format(owed, lsn));
}

static lsn_t owed(const struct pipeline *p)
{
	return p->expected ? p->skip_to : 0;
}

bool pipeline_open(struct session *s, struct again *again, struct pipeline **out, struct err *e)
{
	struct pipeline *p = xcalloc(1, sizeof *p);
	struct continuity_slot slot;

	p->session = s;
	p->again = again;
	p->partitions = partitions_create(s);
	bool ok =
	    session_check_source(s, &slot, e) && unchanged_tables(s, e) &&
	    (pg_open(&s->target_options, &p->target, e) || err_wrap(e, "connect to the target")) &&
	    load_progress(p, e) && create_judge(p, e) &&
	    applier_create(p->target, s->plan, p->progress, again, &p->applier, e) &&
	    begin_durable(p, e) && start_receiver(p, e) && expect_last(p, e);
	if (!ok) {
		pipeline_close(p);
		return false;
	}
	*out = p;
	return true;
}

/* A connection can end without our end of it hearing so; the slot's end of it did. */
bool pipeline_served(const struct pipeline_state *then, const struct continuity_slot *slot,
		     const char *name, struct err *e)
{
	if (!check_history(then->owed, then->position, e))
		return false;
	return slot->active || then->drains ||
	       err_set(e, ERR_RETRY,
		       "the source has given up the stream of slot %s, and the "
		       "connection did not tell",
		       name);
}

void pipeline_recorded(struct pipeline *p, lsn_t position)
{
	struct continuity *c = &p->session->continuity;

	c->known = position > c->known ? position : c->known;
	receiver_recorded(p->receiver, position);
}

void pipeline_close(struct pipeline *p)
{
	struct err ignored = ERR_INIT;

	if (!p)
		return;
	if (p->applier) /* else it might be committed after what comes next */
		applier_settle(p->applier, &ignored);
	receiver_stop(p->receiver);
	applier_destroy(p->applier);
	judge_destroy(p->judge);
	transaction_destroy(p->unseen);
	partitions_destroy(p->partitions);
	pg_close(p->target);
	arena_finish(&p->arena);
	free(p);
}

/* --- one batch --- */

struct list {
	struct transaction *first, **tail;
	size_t bytes;
	unsigned changes;
	lsn_t end_lsn; /* of the last whole transaction; 0: none */
	bool open;     /* ends with a part of a transaction that goes on */
	bool full;
};

static bool list_full(const struct list *l)
{
	return l->full || l->changes >= BATCH_CHANGES || l->bytes >= BATCH_BYTES;
}

/* What comes after the last part would be judged while the target transaction is open. */
static bool goes_alone(const struct pipeline *p, const struct transaction *t)
{
	return !t->first && t->commit_lsn < judge_consistent_lsn(p->judge);
}

static void put(struct pipeline *p, struct list *l, struct transaction *t)
{
	*l->tail = t;
	l->tail = &t->next;
	l->bytes += transaction_size(t);
	l->changes += t->nchanges;
	l->open = !t->last;
	l->full = l->open || goes_alone(p, t);
}

static bool is_empty(const struct transaction *t)
{
	return !t->nchanges && t->first && t->last;
}

static bool keep_unseen(struct pipeline *p, struct transaction *t)
{
	if (t->commit_lsn != p->unseen_lsn)
		log_event(LOG_INFO, "transaction.not_visible", "xid=%" PRIu32, t->xid);
	p->unseen_lsn = t->commit_lsn;
	p->unseen = t;
	return true;
}

/* Owns t from here: into the list, away, or p->unseen. */
static bool admit(struct pipeline *p, struct list *l, struct transaction *t, struct err *e)
{
	bool empty = is_empty(t), seen;

	if (!check_history(owed(p), t->commit_lsn, e) ||
	    !partitions_resolve(p->partitions, t, &seen, e)) {
		transaction_destroy(t);
		return false;
	}
	if (!seen)
		return keep_unseen(p, t);
	if (t->last)
		l->end_lsn = t->end_lsn;
	if (!empty && is_empty(t)) /* of other tables only */
		transaction_destroy(t);
	else
		put(p, l, t);
	return true;
}

static bool take(struct pipeline *p, struct list *l, struct transaction *t, struct err *e)
{
	t->next = NULL;
	if (t->last && t->commit_lsn == p->skip_to && t->commit_time == p->progress->commit_time)
		p->expected = false;
	if (t->commit_lsn > p->skip_to)
		return admit(p, l, t, e);
	if (t->last) /* applied before a restart */
		l->end_lsn = t->end_lsn;
	transaction_destroy(t);
	return true;
}

/* The one that waits, or the next that comes. */
static enum receive next(struct pipeline *p, int timeout_ms, struct transaction **out,
			 struct err *e)
{
	if (!p->unseen)
		return receiver_next(p->receiver, timeout_ms, out, e);
	clock_sleep_ms(timeout_ms < UNSEEN_MS ? timeout_ms : UNSEEN_MS);
	*out = p->unseen;
	p->unseen = NULL;
	return RECEIVED;
}

/* Waits for the first, then takes what is there already. */
static bool gather(struct pipeline *p, int timeout_ms, struct list *l, struct err *e)
{
	do {
		struct transaction *t;
		int wait = l->first || l->end_lsn ? 0 : timeout_ms;
		enum receive got = next(p, wait, &t, e);
		if (got == RECEIVED_NOTHING)
			return true;
		if (got == RECEIVE_FAILED)
			return l->first != NULL; /* apply what came before; it will fail again */
		if (!take(p, l, t, e))
			return false;
	} while (!list_full(l) && !p->unseen);
	return true;
}

/* The source hears of what is on disk at the target, never of what is only committed. */
static void confirm(struct pipeline *p)
{
	if (p->durable.durable)
		receiver_confirm(p->receiver, p->durable.durable);
}

/* What was sent, up to sent_end, is at the target. */
static void settled(struct pipeline *p)
{
	durable_committed(&p->durable, p->sent_end);
	p->sent_end = 0;
}

static bool settle(struct pipeline *p, struct err *e)
{
	if (!applier_settle(p->applier, e))
		return false;
	settled(p);
	return true;
}

/* The judge asks on the applier's connection, up to the consistent point. */
static bool may_go_ahead(const struct pipeline *p, const struct list *l)
{
	return l->first->commit_lsn >= judge_consistent_lsn(p->judge);
}

static bool judge(struct pipeline *p, struct transaction *list, struct err *e)
{
	if (judge_filter(p->judge, list, e))
		return true;
	if (judge_wants_early(p->judge))
		again_early(p->again, judge_wants_early(p->judge));
	return false;
}

static bool apply(struct pipeline *p, struct list *l, struct err *e)
{
	bool ahead = may_go_ahead(p, l);
	struct transaction *list = l->first;
	uint64_t changes = 0;

	if (!judge(p, list, e))
		return false;
	for (const struct transaction *t = list; t; t = t->next)
		changes += t->nchanges;
	l->first = NULL;
	if (!applier_apply(p->applier, list, ahead, e))
		return false;
	p->effort.changes += changes;
	settled(p);
	p->sent_end = l->open ? 0 : l->end_lsn; /* a part leaves its target transaction open */
	if (!applier_waits(p->applier))
		settled(p);
	return true;
}

/* What came, or the answer to what was sent. */
static bool work(struct pipeline *p, struct list *l, struct err *e)
{
	err_clear(e);
	if (l->first)
		return apply(p, l, e);
	if (!settle(p, e))
		return false;
	durable_committed(&p->durable, l->end_lsn); /* there was nothing to do up to there */
	return true;
}

/* What a failed batch had taken from the queue is gone: going on would step over it. */
static bool is_whole(const struct pipeline *p, struct err *e)
{
	return !p->failed ||
	       err_set(e, ERR_RETRY, "the stream failed before, and was not opened again");
}

static bool note(struct pipeline *p, bool ok)
{
	p->failed |= !ok;
	return ok;
}

bool pipeline_failed(const struct pipeline *p)
{
	return p->failed;
}

static bool step(struct pipeline *p, int timeout_ms, struct err *e)
{
	struct list l = { .tail = &l.first };
	int64_t since = clock_us();
	bool ok = gather(p, applier_waits(p->applier) ? 0 : timeout_ms, &l, e);

	p->effort.idle_us += clock_us() - since;
	since = clock_us();
	ok = ok && work(p, &l, e);
	p->effort.applying_us += clock_us() - since;
	transaction_destroy_all(l.first);
	confirm(p);
	return ok && check_history(owed(p), receiver_position(p->receiver), e);
}

bool pipeline_step(struct pipeline *p, int timeout_ms, struct err *e)
{
	return note(p, is_whole(p, e) && step(p, timeout_ms, e));
}

bool pipeline_flush(struct pipeline *p, struct err *e)
{
	bool ok = is_whole(p, e) && settle(p, e) && durable_force(&p->durable, e);

	confirm(p);
	return note(p, ok);
}

bool pipeline_wants_look(struct pipeline *p)
{
	return durable_due(&p->durable);
}

bool pipeline_looked(struct pipeline *p, const struct flush *now, struct err *e)
{
	return durable_looked(&p->durable, now, e);
}

/* --- figures --- */

enum { EPOCH_2000 = 946684800 }; /* 2000-01-01 in Unix time */

static double seconds_since(int64_t commit_time)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	double seconds = (double)(now.tv_sec - EPOCH_2000) + (double)now.tv_nsec / 1e9 -
			 (double)commit_time / 1e6;
	return seconds > 0 ? seconds : 0;
}

/* What is still to be read of a backlog may be old. */
static double lag_seconds(int64_t oldest, bool drains)
{
	if (oldest)
		return seconds_since(oldest);
	return drains ? -1 : 0;
}

struct pipeline_state pipeline_state(struct pipeline *p)
{
	bool drains = receiver_drains(p->receiver); /* asked first: then the slot is idle */
	struct receiver_backlog backlog;
	struct effort effort = p->effort;

	receiver_backlog(p->receiver, &backlog);
	effort.starved_us = backlog.starved_us;
	return (struct pipeline_state){
		.position = receiver_position(p->receiver),
		.consistent = judge_consistent_lsn(p->judge),
		.open = applier_is_open(p->applier),
		.pending = backlog.oldest_commit_time != 0,
		.drains = drains,
		.owed = owed(p),
		.lag_seconds = lag_seconds(backlog.oldest_commit_time, drains),
		.queued_bytes = backlog.queued_bytes,
		.received = backlog.received,
		.effort = effort,
	};
}

bool pipeline_retry(struct pipeline *p, struct retry *retry, struct err *e)
{
	return note(p, is_whole(p, e) && settle(p, e) && applier_retry(p->applier, retry, e));
}
