#include "cdc/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t room, items; /* on the monotonic clock */
	struct transaction *head, **tail;
	size_t bytes, limit;
	bool closed;
	struct err error;
};

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

struct queue *queue_create(size_t bytes)
{
	struct queue *q = xcalloc(1, sizeof *q);

	pthread_mutex_init(&q->lock, NULL);
	cond_init(&q->room);
	cond_init(&q->items);
	q->tail = &q->head;
	q->limit = bytes;
	return q;
}

void queue_destroy(struct queue *q)
{
	if (!q)
		return;
	transaction_destroy_all(q->head);
	pthread_cond_destroy(&q->room);
	pthread_cond_destroy(&q->items);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static struct timespec deadline(int timeout_ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += timeout_ms / 1000;
	t.tv_nsec += (timeout_ms % 1000) * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000L;
	}
	return t;
}

static bool full(const struct queue *q, size_t size)
{
	return q->head && (size > q->limit || q->bytes > q->limit - size);
}

bool queue_push(struct queue *q, struct transaction *t, int timeout_ms)
{
	struct timespec end = deadline(timeout_ms);
	size_t size = transaction_size(t);
	int waited = timeout_ms > 0 ? 0 : ETIMEDOUT;

	pthread_mutex_lock(&q->lock);
	while (!q->closed && full(q, size) && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&q->room, &q->lock, &end);
	bool ok = !q->closed && !full(q, size);
	if (ok) {
		t->next = NULL;
		*q->tail = t;
		q->tail = &t->next;
		q->bytes += size;
		pthread_cond_signal(&q->items);
	}
	pthread_mutex_unlock(&q->lock);
	return ok;
}

static struct transaction *take(struct queue *q)
{
	struct transaction *t = q->head;

	q->head = t->next;
	if (!q->head)
		q->tail = &q->head;
	t->next = NULL;
	q->bytes -= transaction_size(t);
	pthread_cond_signal(&q->room);
	return t;
}

enum queue_result queue_pop(struct queue *q, int timeout_ms, struct transaction **out,
			    struct err *e)
{
	struct timespec end = deadline(timeout_ms);
	enum queue_result result = QUEUE_EMPTY;
	int waited = timeout_ms > 0 ? 0 : ETIMEDOUT;

	pthread_mutex_lock(&q->lock);
	while (!q->head && !q->closed && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&q->items, &q->lock, &end);
	if (q->head) {
		*out = take(q);
		result = QUEUE_TAKEN;
	} else if (q->closed) {
		*e = q->error;
		result = QUEUE_CLOSED;
	}
	pthread_mutex_unlock(&q->lock);
	return result;
}

void queue_close(struct queue *q, const struct err *error)
{
	pthread_mutex_lock(&q->lock);
	if (!q->closed && error)
		q->error = *error;
	q->closed = true;
	pthread_cond_broadcast(&q->items);
	pthread_cond_broadcast(&q->room);
	pthread_mutex_unlock(&q->lock);
}

size_t queue_bytes(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	size_t bytes = q->bytes;
	pthread_mutex_unlock(&q->lock);
	return bytes;
}
