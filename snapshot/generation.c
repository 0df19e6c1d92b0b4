#include "snapshot/generation.h"

#include "core/arena.h"
#include "core/clock.h"
#include "pg/slot.h"

#include <stdlib.h>

bool generation_open(const struct pg_options *source, const struct generation_slot *slot,
		     struct generation *out, struct err *e)
{
	struct pg_options walsender = *source;
	struct arena scratch = ARENA_INIT;
	struct slot_snapshot snapshot;
	struct pg *pg;

	walsender.replication = true;
	if (!pg_open(&walsender, &pg, e))
		return err_wrap(e, "connect to the source for a slot");
	bool ok = slot->temporary
		      ? slot_create_temporary(pg, slot->name, slot->plugin, &scratch, &snapshot, e)
		      : slot_create(pg, slot->name, slot->plugin, &scratch, &snapshot, e);
	if (ok)
		*out = (struct generation){ pg, snapshot.lsn, xstrdup(snapshot.name), clock_ms() };
	else
		pg_close(pg);
	arena_finish(&scratch);
	return ok || err_wrap(e, "create slot %s", slot->name);
}

void generation_close(struct generation *g)
{
	pg_close(g->pg);
	free(g->snapshot);
	*g = (struct generation){ 0 };
}
