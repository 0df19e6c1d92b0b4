#include "snapshot/generation.h"

#include "core/arena.h"
#include "core/clock.h"
#include "pg/slot.h"

#include <stdlib.h>

struct pg_options generation_options(const struct pg_options *source)
{
	struct pg_options walsender = *source;

	walsender.replication = true;
	return walsender;
}

bool generation_make(struct pg *pg, const struct generation_slot *slot, struct generation *out,
		     struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct slot_snapshot snapshot;
	bool ok = slot->temporary
		      ? slot_create_temporary(pg, slot->name, slot->plugin, &scratch, &snapshot, e)
		      : slot_create(pg, slot->name, slot->plugin, &scratch, &snapshot, e);

	if (ok)
		*out = (struct generation){ pg, snapshot.lsn, xstrdup(snapshot.name), clock_ms() };
	arena_finish(&scratch);
	return ok;
}

void generation_close(struct generation *g)
{
	pg_close(g->pg);
	free(g->snapshot);
	*g = (struct generation){ 0 };
}
