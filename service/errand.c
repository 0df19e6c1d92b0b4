#include "service/errand.h"

#include "pg/team.h"

#include <pthread.h>
#include <stdlib.h>

struct errands {
	struct team *team; /* of one */
	struct pg_options source, target;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t changed;
	bool closing;
	errand *out; /* NULL: there is none, or it is done */
	void *arg;
	struct session session;
};

/* False: there will be none. */
static bool wait_for_one(struct errands *x)
{
	pthread_mutex_lock(&x->lock);
	while (!x->out && !x->closing)
		pthread_cond_wait(&x->changed, &x->lock);
	bool one = !x->closing;
	pthread_mutex_unlock(&x->lock);
	return one;
}

static void report_done(struct errands *x)
{
	pthread_mutex_lock(&x->lock);
	x->out = NULL;
	pthread_mutex_unlock(&x->lock);
}

static bool run_errands(const struct team_member *m, struct err *e)
{
	struct errands *x = m->arg;
	struct pg *source, *target;

	if (!team_connect(m, &x->source, &source, e) || !team_connect(m, &x->target, &target, e))
		return err_wrap(e, "connect beside the stream");
	while (wait_for_one(x)) {
		x->session.source = source;
		x->session.target = target;
		if (!x->out(&x->session, x->arg, e))
			return false;
		report_done(x);
	}
	return true;
}

/* What its own thread may have of a session. */
static void lend(const struct session *s, struct session *own)
{
	struct arena kept = own->arena;

	*own = *s;
	own->arena = kept;
	arena_reset(&own->arena);
	own->source = own->target = NULL;
}

bool errands_open(const struct session *s, struct errands **out, struct err *e)
{
	struct errands *x = xcalloc(1, sizeof *x);

	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->changed, NULL);
	x->source = s->source_options;
	x->target = s->target_options;
	if (!team_start(1, run_errands, x, &x->team, e)) {
		errands_close(x);
		return false;
	}
	*out = x;
	return true;
}

void errands_close(struct errands *x)
{
	if (!x)
		return;
	pthread_mutex_lock(&x->lock);
	x->closing = true;
	pthread_cond_signal(&x->changed);
	pthread_mutex_unlock(&x->lock);
	team_destroy(x->team);
	arena_finish(&x->session.arena);
	pthread_cond_destroy(&x->changed);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

void errands_send(struct errands *x, const struct session *s, errand *what, void *arg)
{
	pthread_mutex_lock(&x->lock);
	lend(s, &x->session);
	x->arg = arg;
	x->out = what;
	pthread_cond_signal(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

enum errand_state errands_back(struct errands *x, struct err *e)
{
	if (team_wait(x->team, 0, e) == CREW_FAILED)
		return ERRAND_FAILED;
	pthread_mutex_lock(&x->lock);
	bool done = !x->out;
	pthread_mutex_unlock(&x->lock);
	return done ? ERRAND_DONE : ERRAND_OUT;
}
