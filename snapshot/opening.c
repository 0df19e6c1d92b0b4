#include "snapshot/opening.h"

#include "core/arena.h"

#include <pthread.h>
#include <stdlib.h>

enum { CANCEL_MS = 100 };

struct opening {
	const struct pg_options *source;
	struct generation_slot slot;
	struct generation made;
	struct pg *pg;        /* what may be cancelled; NULL: nothing */
	pthread_mutex_t lock; /* over pg: who cancels must not meet who closes */
	struct crew *crew;
};

static void show(struct opening *o, struct pg *pg)
{
	pthread_mutex_lock(&o->lock);
	o->pg = pg;
	pthread_mutex_unlock(&o->lock);
}

static bool open_one(void *arg, unsigned worker, const atomic_bool *stop, struct err *e)
{
	struct opening *o = arg;
	struct pg *pg;

	(void)worker;
	if (!generation_connect(o->source, &pg, e))
		return false;
	show(o, pg);
	bool ok = !atomic_load(stop) && generation_make(pg, &o->slot, &o->made, e);
	show(o, NULL);
	if (!ok)
		pg_close(pg);
	return ok;
}

bool opening_start(const struct pg_options *source, const struct generation_slot *slot,
		   struct opening **out, struct err *e)
{
	struct opening *o = xcalloc(1, sizeof *o);

	o->source = source;
	o->slot = *slot;
	pthread_mutex_init(&o->lock, NULL);
	if (!crew_start(1, open_one, o, &o->crew, e)) {
		opening_destroy(o);
		return false;
	}
	*out = o;
	return true;
}

enum crew_state opening_wait(struct opening *o, int timeout_ms, struct generation *out,
			     struct err *e)
{
	enum crew_state state = crew_wait(o->crew, timeout_ms, e);

	if (state == CREW_ENDED) {
		*out = o->made;
		o->made = (struct generation){ 0 };
	}
	return state;
}

/* One that came before the command had begun would be lost. */
static void cancel(struct opening *o)
{
	struct err ignored = ERR_INIT;

	crew_stop(o->crew);
	while (crew_wait(o->crew, 0, &ignored) == CREW_RUNNING) {
		pthread_mutex_lock(&o->lock);
		pg_cancel(o->pg);
		pthread_mutex_unlock(&o->lock);
		crew_wait(o->crew, CANCEL_MS, &ignored);
	}
}

void opening_destroy(struct opening *o)
{
	if (!o)
		return;
	if (o->crew)
		cancel(o);
	crew_destroy(o->crew);
	generation_close(&o->made);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
