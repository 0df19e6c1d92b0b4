#include "core/crew.h"

#include "core/arena.h"
#include "core/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct member {
	struct crew *crew;
	unsigned no;
	pthread_t thread;
};

struct crew {
	crew_work *work;
	void *arg;
	atomic_bool stop;
	unsigned count;
	struct member *members;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t ended;
	unsigned running;
	bool failed;
	struct err error;
};

static void *work(void *arg)
{
	struct member *m = arg;
	struct crew *c = m->crew;
	struct err e = ERR_INIT;
	bool ok = c->work(c->arg, m->no, &c->stop, &e);

	pthread_mutex_lock(&c->lock);
	if (!ok && !c->failed) {
		c->failed = true;
		c->error = e;
		atomic_store(&c->stop, true);
	}
	c->running--;
	pthread_cond_broadcast(&c->ended);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void init_waiting(struct crew *c)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->ended, &attr);
	pthread_condattr_destroy(&attr);
}

bool crew_start(unsigned workers, crew_work *function, void *arg, struct crew **out, struct err *e)
{
	struct crew *c = xcalloc(1, sizeof *c);
	int rc = 0;

	c->work = function;
	c->arg = arg;
	c->members = xcalloc(workers, sizeof *c->members);
	init_waiting(c);
	for (unsigned i = 0; i < workers && rc == 0; i++) {
		struct member *m = &c->members[i];
		*m = (struct member){ .crew = c, .no = i };
		pthread_mutex_lock(&c->lock);
		rc = pthread_create(&m->thread, NULL, work, m);
		c->count += rc == 0;
		c->running += rc == 0;
		pthread_mutex_unlock(&c->lock);
	}
	if (rc == 0) {
		*out = c;
		return true;
	}
	crew_destroy(c);
	return err_set(e, ERR_RETRY, "start a thread: %s", strerror(rc));
}

enum crew_state crew_wait(struct crew *c, int timeout_ms, struct err *e)
{
	int64_t until = clock_ms() + timeout_ms;
	struct timespec deadline = { until / 1000, until % 1000 * 1000000 };
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	while (c->running && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&c->ended, &c->lock, &deadline);
	enum crew_state state = c->running ? CREW_RUNNING : c->failed ? CREW_FAILED : CREW_ENDED;
	if (state == CREW_FAILED)
		*e = c->error;
	pthread_mutex_unlock(&c->lock);
	return state;
}

void crew_stop(struct crew *c)
{
	if (c)
		atomic_store(&c->stop, true);
}

void crew_destroy(struct crew *c)
{
	if (!c)
		return;
	crew_stop(c);
	for (unsigned i = 0; i < c->count; i++)
		pthread_join(c->members[i].thread, NULL);
	pthread_cond_destroy(&c->ended);
	pthread_mutex_destroy(&c->lock);
	free(c->members);
	free(c);
}
