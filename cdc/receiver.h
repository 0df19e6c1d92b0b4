/*
 * cdc/receiver.h: a thread that turns what a slot sends into transactions.
 *
 *   source -> messages -> assembler -> queue -> receiver_next() -> the applier
 *   source <- status <- recorded <- receiver_recorded() <- once the ledger has the position
 *                       position <- receiver_confirm() <- after its COMMIT
 *
 * A large backlog is read by SQL first (cdc/backlog.h); the stream takes over where that ends.
 *
 * The thread answers the server at all times: when the queue is full it stops reading
 * the stream but goes on sending its status every second.
 *
 * Ownership  the options are borrowed for the call of receiver_start. A transaction from
 *            receiver_next is the caller's, its relations are the receiver's: destroy
 *            transactions before receiver_stop.
 * Errors     receiver_start: ERR_RETRY when the slot is in use. receiver_next gives the
 *            thread's error (connection lost: ERR_RETRY; malformed: ERR_INPUT) after
 *            every transaction that was queued before it.
 * Threads    receiver_next, receiver_stop: one; the others: any.
 */
#ifndef PGCROSSFADE_CDC_RECEIVER_H
#define PGCROSSFADE_CDC_RECEIVER_H

#include "cdc/decoder.h"
#include "pg/continuity.h"

struct receiver;

struct receiver_options {
	const char *conninfo, *application;
	const char *slot;
	struct continuity continuity; /* its strings outlive the receiver */
	const struct decoder_ops *ops;
	struct decoder_options decoder;
	lsn_t start_lsn;    /* transactions that end before it are not wanted */
	size_t queue_bytes; /* of whole transactions waiting */
	size_t part_bytes;  /* a larger transaction comes in parts */
};

enum receive { RECEIVED, RECEIVED_NOTHING, RECEIVE_FAILED };

struct receiver_backlog {
	size_t queued_bytes;
	lsn_t received;             /* the server's WAL end as last heard */
	int64_t oldest_commit_time; /* of what is received and not confirmed; 0: none */
	int64_t starved_us;         /* so far: waited for the server with room in the queue */
};

bool receiver_start(const struct receiver_options *options, struct receiver **out, struct err *e);

/* Waits up to timeout_ms. Transactions without any change do not come out. */
enum receive receiver_next(struct receiver *r, int timeout_ms, struct transaction **out,
			   struct err *e);

/* Everything up to the end_lsn of a transaction is durable, or was dropped for good. */
void receiver_confirm(struct receiver *r, lsn_t end_lsn);

/*
 * Everything before it is applied. Moves with receiver_confirm, and with the server's
 * keepalives while nothing is pending.
 */
lsn_t receiver_position(struct receiver *r);

/* The ledger has this position durably: from now on the slot may be told it, and no more. */
void receiver_recorded(struct receiver *r, lsn_t position);

/* No stream runs yet: a backlog is read, and the slot itself is idle. */
bool receiver_drains(const struct receiver *r);

void receiver_backlog(struct receiver *r, struct receiver_backlog *out);

/* Tells the server the position and ends the stream, within a second. NULL is fine. */
void receiver_stop(struct receiver *r);

#endif
