/*
 * cdc/queue.h: transactions on their way from one thread to another, bounded in bytes.
 *
 * Ownership  a pushed transaction is the queue's, a popped one the caller's.
 * Errors     an error given to queue_close comes out of queue_pop after everything that
 *            was pushed before it.
 * Threads    one pushes and closes, one pops; the figures may be read from any.
 */
#ifndef PGCROSSFADE_CDC_QUEUE_H
#define PGCROSSFADE_CDC_QUEUE_H

#include "core/change.h"
#include "core/err.h"

struct queue;

enum queue_result { QUEUE_TAKEN, QUEUE_EMPTY, QUEUE_CLOSED };

struct queue *queue_create(size_t bytes);
void queue_destroy(struct queue *q); /* NULL is fine; drops what is left */

/*
 * False while the queue stays full for timeout_ms: t is still the caller's. A transaction
 * larger than the bound is taken when the queue is empty. A closed queue takes nothing.
 */
bool queue_push(struct queue *q, struct transaction *t, int timeout_ms);

/* QUEUE_TAKEN sets *out. QUEUE_CLOSED sets *e where queue_close was given an error. */
enum queue_result queue_pop(struct queue *q, int timeout_ms, struct transaction **out,
			    struct err *e);

/* Nothing more comes. error may be NULL. The first close counts. */
void queue_close(struct queue *q, const struct err *error);

size_t queue_bytes(struct queue *q);

#endif
