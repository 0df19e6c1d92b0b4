/*
 * service/pipeline.h: slot to target: receiver, judge, applier.
 *
 *   receiver -> transactions -> judge (until the consistent point) -> applier
 *        ^                                                              |
 *        '---- confirmed position, after its COMMIT, once the ledger has it ---'
 *
 * Ownership  borrows the session; owns its own connections and its thread.
 * Errors     ERR_RETRY: close it and open it again, it goes on from the progress row.
 */
#ifndef PGCROSSFADE_SERVICE_PIPELINE_H
#define PGCROSSFADE_SERVICE_PIPELINE_H

#include "pg/flush.h"
#include "service/session.h"

struct again;
struct pipeline;

/* again: sink/again.h; borrowed, and handed from one to the next. */
bool pipeline_open(struct session *s, struct again *again, struct pipeline **out, struct err *e);
void pipeline_close(struct pipeline *p); /* NULL is fine */

/*
 * Waits up to timeout_ms for something to apply, and applies one batch of it. After a failure, of
 * this or of what follows, what was taken is gone: close it, and open another.
 */
bool pipeline_step(struct pipeline *p, int timeout_ms, struct err *e);

/* On return everything that was applied is durable, and counts in the position. */
bool pipeline_flush(struct pipeline *p, struct err *e);

bool pipeline_failed(const struct pipeline *p);

/* What has gone into it since it was opened. */
struct effort {
	uint64_t changes;    /* applied, parts of open transactions among them */
	int64_t applying_us; /* in the applier */
	int64_t idle_us;     /* waited for transactions */
	int64_t starved_us;  /* of the receiver: waited for the server */
};

struct pipeline_state {
	lsn_t position;     /* everything before it is applied and durable */
	lsn_t consistent;   /* past it no change can be in the copy */
	bool open;          /* part of a transaction is applied: its locks are held */
	bool pending;       /* something is received and not applied */
	bool drains;        /* a backlog is read, and the slot itself is idle */
	lsn_t owed;         /* the slot has to send the transaction there once more; 0: none */
	double lag_seconds; /* of the oldest change not applied; 0: there is none, -1: not known */
	uint64_t queued_bytes;
	lsn_t received; /* the server has sent, or has nothing to send, up to here */
	struct effort effort;
};

struct pipeline_state pipeline_state(struct pipeline *p);

/*
 * Does the source have what the target has, and serve the slot of that name? slot: as
 * session_check_source() found it after `then`. ERR_RETRY: open another.
 */
bool pipeline_served(const struct pipeline_state *then, const struct continuity_slot *slot,
		     const char *name, struct err *e);

/* The ledger has this position durably: now the source may be told of it. */
void pipeline_recorded(struct pipeline *p, lsn_t position);

/* Is it time to ask what is on the target's disk? The answer is for pipeline_looked(). */
bool pipeline_wants_look(struct pipeline *p);
bool pipeline_looked(struct pipeline *p, const struct flush *now, struct err *e);

/* applier_retry(), sink/apply.h */
struct retry;
bool pipeline_retry(struct pipeline *p, struct retry *retry, struct err *e);

#endif
