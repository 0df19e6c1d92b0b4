#include "pg/team.h"

#include "core/arena.h"

#include <pthread.h>
#include <stdlib.h>

enum { CONNECTIONS = 2, CANCEL_MS = 100 };

struct seat {
	struct pg *connections[CONNECTIONS];
	unsigned count;
};

struct team {
	struct crew *crew;
	team_work *work;
	void *arg;
	unsigned nseats;
	struct seat *seats;
	pthread_mutex_t lock; /* over the seats: who cancels must not meet who closes */
};

bool team_connect(const struct team_member *m, const struct pg_options *to, struct pg **out,
		  struct err *e)
{
	struct seat *seat = &m->team->seats[m->no];

	if (!pg_open(to, out, e))
		return false;
	pthread_mutex_lock(&m->team->lock);
	seat->connections[seat->count++] = *out;
	pthread_mutex_unlock(&m->team->lock);
	return true;
}

void team_release(const struct team_member *m, const struct pg *pg)
{
	struct seat *seat = &m->team->seats[m->no];
	unsigned kept = 0;

	pthread_mutex_lock(&m->team->lock);
	for (unsigned i = 0; i < seat->count; i++)
		if (seat->connections[i] != pg)
			seat->connections[kept++] = seat->connections[i];
	seat->count = kept;
	pthread_mutex_unlock(&m->team->lock);
}

static void leave(struct team *t, unsigned no)
{
	struct seat left;

	pthread_mutex_lock(&t->lock);
	left = t->seats[no];
	t->seats[no] = (struct seat){ .count = 0 };
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < left.count; i++)
		pg_close(left.connections[i]);
}

static bool take_part(void *arg, unsigned no, const atomic_bool *stop, struct err *e)
{
	struct team *t = arg;
	struct team_member m = { t, no, stop, t->arg };
	bool ok = t->work(&m, e);

	leave(t, no);
	return ok;
}

bool team_start(unsigned workers, team_work *work, void *arg, struct team **out, struct err *e)
{
	struct team *t = xcalloc(1, sizeof *t);

	t->work = work;
	t->arg = arg;
	t->nseats = workers;
	t->seats = xcalloc(workers, sizeof *t->seats);
	pthread_mutex_init(&t->lock, NULL);
	if (!crew_start(workers, take_part, t, &t->crew, e)) {
		team_destroy(t);
		return false;
	}
	*out = t;
	return true;
}

enum crew_state team_wait(struct team *t, int timeout_ms, struct err *e)
{
	return crew_wait(t->crew, timeout_ms, e);
}

static void cancel_all(struct team *t)
{
	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->nseats; i++)
		for (unsigned k = 0; k < t->seats[i].count; k++)
			pg_cancel(t->seats[i].connections[k]);
	pthread_mutex_unlock(&t->lock);
}

/* A cancel that came before the command had begun would be lost. */
static void stop(struct team *t)
{
	struct err ignored = ERR_INIT;

	crew_stop(t->crew);
	while (crew_wait(t->crew, 0, &ignored) == CREW_RUNNING) {
		cancel_all(t);
		crew_wait(t->crew, CANCEL_MS, &ignored);
	}
}

void team_destroy(struct team *t)
{
	if (!t)
		return;
	if (t->crew)
		stop(t);
	crew_destroy(t->crew);
	pthread_mutex_destroy(&t->lock);
	free(t->seats);
	free(t);
}
