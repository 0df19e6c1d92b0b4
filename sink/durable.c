#include "sink/durable.h"

#include "core/clock.h"

enum {
	LOOK_MS = 100,
	/* An idle server writes its WAL out within three wal_writer_delay, 0.6 s by default. The
	 * end it names may never come, though: it counts the header of a page not begun yet. */
	FORCE_MS = 1500,
};

void durable_committed(struct durable *d, lsn_t end)
{
	d->committed = end > d->committed ? end : d->committed;
	if (!d->later)
		d->durable = d->committed;
}

bool durable_force(struct durable *d, struct err *e)
{
	if (d->durable == d->committed)
		return true;
	if (!flush_force(d->force, d->mark, e))
		return false;
	d->durable = d->committed;
	d->marked = 0;
	return true;
}

bool durable_due(struct durable *d)
{
	if (d->durable == d->committed || clock_ms() < d->looked + LOOK_MS)
		return false;
	d->looked = clock_ms();
	d->asked = d->committed;
	return true;
}

bool durable_looked(struct durable *d, const struct flush *now, struct err *e)
{
	if (d->marked && now->flushed >= d->wanted) {
		d->durable = d->marked;
		d->marked = 0;
	}
	if (d->marked && d->looked > d->since_ms + FORCE_MS)
		return durable_force(d, e);
	if (!d->marked && d->asked > d->durable) {
		d->marked = d->asked;
		d->wanted = now->written;
		d->since_ms = d->looked;
	}
	return true;
}
