#include "service/outlook.h"

#include "core/clock.h"
#include "pg/slot.h"
#include "service/outlook_steps.h"

#include <string.h>

enum { WAL_SAMPLE_MS = 1000 };

/* Nothing is written from here on, whatever is asked. */
static bool read_only(struct pg *pg, struct err *e)
{
	return pg_exec(pg, "SET default_transaction_read_only = on", e);
}

static bool load_phase(struct session *s, struct outlook *o, struct err *e)
{
	struct ledger_migration *m;

	if (!ledger_load(s->target, s->migration->name, &s->arena, &m, e))
		return false;
	o->known_phase = m ? m->phase : NULL;
	return true;
}

static bool look_at_sequences(struct session *s, struct outlook *o, struct err *e)
{
	const struct plan *p = s->plan;

	o->sequences = arena_array(&s->arena, p->nsequences, sizeof *o->sequences);
	for (unsigned i = 0; i < p->nsequences; i++)
		if (!sequence_next(s->source, s->target, &p->sequences[i],
				   s->migration->cutover.sequence_headroom, &o->sequences[i], e))
			return false;
	return true;
}

/* --- how long --- */

static bool measure_wal(struct session *s, struct outlook *o, struct err *e)
{
	int64_t since = clock_us();
	lsn_t before, after;

	if (!wal_insert_lsn(s->source, &before, e))
		return false;
	clock_sleep_ms(WAL_SAMPLE_MS);
	if (!wal_insert_lsn(s->source, &after, e))
		return false;
	o->wal_rate = (double)(after - before) / ((double)(clock_us() - since) / 1e6);
	return true;
}

bool outlook_make(struct session *s, struct outlook *o, struct err *e)
{
	const struct copy_source copied = { s->plan, s->migration, s->source, &s->arena };

	*o = (struct outlook){ .session = s };
	if (!read_only(s->source, e) || !read_only(s->target, e) || !load_phase(s, o, e) ||
	    !definitions_find(s->plan, s->target, &s->arena, &o->definitions, &o->ndefinitions,
			      e) ||
	    !look_at_sequences(s, o, e) || !estimate_copy(&copied, &o->copy, e) ||
	    !measure_wal(s, o, e))
		return err_wrap(e, "plan");
	outlook_steps(s, o);
	return true;
}
