/* The queue between the receiver and the applier, and the position that it moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cdc/position.h"
#include "cdc/queue.h"

#include <pthread.h>

static struct transaction *make(uint32_t xid, size_t bytes)
{
	struct transaction *t = transaction_create();

	t->xid = xid;
	arena_alloc(&t->arena, bytes);
	return t;
}

/* Pops at once; 0 when there is nothing. */
static uint32_t pop(struct queue *q)
{
	struct transaction *t = NULL;
	struct err e = ERR_INIT;
	uint32_t xid = 0;

	if (queue_pop(q, 0, &t, &e) == QUEUE_TAKEN)
		xid = t->xid;
	transaction_destroy(t);
	return xid;
}

static void in_order(void **state)
{
	struct queue *q = queue_create(1 << 20);

	(void)state;
	assert_int_equal(pop(q), 0);
	for (uint32_t i = 1; i <= 3; i++)
		assert_true(queue_push(q, make(i, 10), 0));
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(pop(q), i);
	assert_int_equal(pop(q), 0);
	queue_destroy(q);
}

static void bounded_in_bytes(void **state)
{
	struct queue *q = queue_create(100000);
	struct transaction *late = make(3, 40000);

	(void)state;
	assert_true(queue_push(q, make(1, 40000), 0));
	assert_true(queue_push(q, make(2, 40000), 0));
	assert_in_range(queue_bytes(q), 80000, 100000);
	assert_false(queue_push(q, late, 0));
	assert_false(queue_push(q, late, 5));
	assert_int_equal(pop(q), 1);
	assert_true(queue_push(q, late, 0));
	assert_int_equal(pop(q), 2);
	assert_int_equal(pop(q), 3);
	assert_int_equal(queue_bytes(q), 0);
	queue_destroy(q);
}

static void larger_than_the_bound(void **state)
{
	struct queue *q = queue_create(1000);
	struct transaction *large = make(2, 50000);

	(void)state;
	assert_true(queue_push(q, make(1, 50000), 0));
	assert_false(queue_push(q, large, 0));
	assert_int_equal(pop(q), 1);
	assert_true(queue_push(q, large, 0));
	queue_destroy(q); /* with something in it */
}

static void error_comes_last(void **state)
{
	struct queue *q = queue_create(1 << 20);
	struct err lost = ERR_INIT, other = ERR_INIT, e = ERR_INIT;
	struct transaction *t, *refused = make(2, 10);

	(void)state;
	err_set(&lost, ERR_RETRY, "connection lost");
	err_set(&other, ERR_INPUT, "later");
	assert_true(queue_push(q, make(1, 10), 0));
	queue_close(q, &lost);
	queue_close(q, &other);
	assert_false(queue_push(q, refused, 1000));
	transaction_destroy(refused);
	assert_int_equal(pop(q), 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(queue_pop(q, 1000, &t, &e), QUEUE_CLOSED);
		assert_string_equal(e.text, "connection lost");
		assert_int_equal(e.kind, ERR_RETRY);
	}
	queue_destroy(q);
	queue_destroy(NULL);
}

enum { COUNT = 20000 };

static void *produce(void *arg)
{
	struct queue *q = arg;
	struct err end = ERR_INIT;

	for (uint32_t i = 1; i <= COUNT; i++) {
		struct transaction *t = make(i, (size_t)(i % 50) * 100);
		while (!queue_push(q, t, i % 3 ? 1 : 0))
			continue;
	}
	err_set(&end, ERR_RETRY, "end");
	queue_close(q, &end);
	return NULL;
}

static void between_threads(void **state)
{
	struct queue *q = queue_create(20000);
	struct err e = ERR_INIT;
	struct transaction *t;
	pthread_t thread;
	uint32_t next = 1;
	enum queue_result result;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
	while ((result = queue_pop(q, 10, &t, &e)) != QUEUE_CLOSED) {
		if (result == QUEUE_EMPTY)
			continue;
		assert_int_equal(t->xid, next++);
		transaction_destroy(t);
	}
	assert_int_equal(next, COUNT + 1);
	assert_string_equal(e.text, "end");
	pthread_join(thread, NULL);
	queue_destroy(q);
}

/* A script moves a position: what it does, and where it then stands. */
static const struct step {
	enum { START, DELIVER, PART, LAST, CONFIRM, IDLE, OPEN, CLOSED } what;
	lsn_t lsn;
	lsn_t applied;
	int64_t oldest; /* commit times are the ends here */
} steps[] = {
	{ START, 10, 10, 0 },     { IDLE, 20, 20, 0 },      { DELIVER, 30, 20, 30 },
	{ IDLE, 40, 20, 30 },     { DELIVER, 50, 20, 30 },  { CONFIRM, 30, 30, 50 },
	{ IDLE, 60, 30, 50 },     { CONFIRM, 50, 60, 0 },   { IDLE, 55, 60, 0 },
	{ CONFIRM, 40, 60, 0 },   { OPEN, 0, 60, 0 },       { IDLE, 70, 60, 0 },
	{ PART, 80, 60, 80 },     { CONFIRM, 60, 60, 80 },  { LAST, 80, 60, 80 },
	{ CLOSED, 0, 60, 80 },    { CONFIRM, 80, 80, 0 },   { IDLE, 90, 90, 0 },
	{ DELIVER, 95, 90, 95 },  { CONFIRM, 100, 100, 0 }, { DELIVER, 110, 100, 110 },
	{ CONFIRM, 110, 110, 0 }, { OPEN, 0, 110, 0 },      { IDLE, 120, 110, 0 },
	{ CLOSED, 0, 120, 0 },
};

static void take_step(struct position *p, const struct step *s)
{
	struct transaction t = { .first = s->what != LAST,
				 .last = s->what != PART,
				 .end_lsn = s->what == PART ? 0 : s->lsn,
				 .commit_time = (int64_t)s->lsn };

	if (s->what == START)
		position_init(p, s->lsn);
	else if (s->what == CONFIRM)
		position_confirm(p, s->lsn);
	else if (s->what == IDLE)
		position_idle(p, s->lsn);
	else if (s->what == OPEN || s->what == CLOSED)
		position_open(p, s->what == OPEN);
	else
		position_deliver(p, &t);
}

static void position_steps(void **state)
{
	struct position p;

	(void)state;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		take_step(&p, &steps[i]);
		if (p.applied != steps[i].applied || position_oldest(&p) != steps[i].oldest)
			fail_msg("step %zu: applied %u oldest %d", i, (unsigned)p.applied,
				 (int)position_oldest(&p));
	}
	position_finish(&p);
}

static void position_holds_many(void **state)
{
	struct position p;
	lsn_t confirmed = 0;

	(void)state;
	position_init(&p, 0);
	for (lsn_t i = 1; i <= 10000; i++) {
		take_step(&p, &(struct step){ DELIVER, i, 0, 0 });
		if (i % 3 == 0)
			position_confirm(&p, confirmed = i / 2);
		assert_int_equal(position_oldest(&p), confirmed + 1);
		assert_int_equal(p.count, i - confirmed);
	}
	position_confirm(&p, 10000);
	assert_int_equal(position_oldest(&p), 0);
	position_finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(bounded_in_bytes),
		cmocka_unit_test(larger_than_the_bound),
		cmocka_unit_test(error_comes_last),
		cmocka_unit_test(between_threads),
		cmocka_unit_test(position_steps),
		cmocka_unit_test(position_holds_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
