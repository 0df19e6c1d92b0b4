#include "snapshot/opening.h"

#include "core/arena.h"
#include "pg/team.h"

#include <stdlib.h>

struct opening {
	struct pg_options source;
	struct generation_slot slot;
	struct generation made;
	struct team *team; /* of one */
};

static bool open_one(const struct team_member *m, struct err *e)
{
	struct opening *o = m->arg;
	struct pg *pg;

	if (!team_connect(m, &o->source, &pg, e))
		return err_wrap(e, "connect to the source for a slot");
	if (atomic_load(m->stop) || !generation_make(pg, &o->slot, &o->made, e))
		return false;
	team_release(m, pg);
	return true;
}

bool opening_start(const struct pg_options *source, const struct generation_slot *slot,
		   struct opening **out, struct err *e)
{
	struct opening *o = xcalloc(1, sizeof *o);

	o->source = generation_options(source);
	o->slot = *slot;
	if (!team_start(1, open_one, o, &o->team, e)) {
		opening_destroy(o);
		return false;
	}
	*out = o;
	return true;
}

enum crew_state opening_wait(struct opening *o, int timeout_ms, struct generation *out,
			     struct err *e)
{
	enum crew_state state = team_wait(o->team, timeout_ms, e);

	if (state == CREW_ENDED) {
		*out = o->made;
		o->made = (struct generation){ 0 };
	}
	return state;
}

void opening_destroy(struct opening *o)
{
	if (!o)
		return;
	team_destroy(o->team);
	generation_close(&o->made);
	free(o);
}
