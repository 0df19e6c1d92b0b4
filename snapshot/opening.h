/*
 * snapshot/opening.h: a generation that is being opened.
 *
 * The source makes no slot before all transactions have ended that were open when it began to,
 * and the one who asks for it waits as long. That is done on a thread, so that whoever waits for
 * the generation can do something else, and can give up.
 *
 * Ownership  the options and the slot's strings are borrowed until opening_destroy.
 */
#ifndef PGCROSSFADE_SNAPSHOT_OPENING_H
#define PGCROSSFADE_SNAPSHOT_OPENING_H

#include "core/crew.h"
#include "snapshot/generation.h"

struct opening;

bool opening_start(const struct pg_options *source, const struct generation_slot *slot,
		   struct opening **out, struct err *e);

/* Waits up to timeout_ms. CREW_ENDED: *out is the caller's from then on. */
enum crew_state opening_wait(struct opening *o, int timeout_ms, struct generation *out,
			     struct err *e);

/* Cancels it where it waits still. NULL is fine. */
void opening_destroy(struct opening *o);

#endif
