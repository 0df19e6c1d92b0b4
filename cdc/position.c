#include "cdc/position.h"

#include <stdlib.h>

void position_init(struct position *p, lsn_t start)
{
	*p = (struct position){ .applied = start };
}

void position_finish(struct position *p)
{
	free(p->pending);
	*p = (struct position){ 0 };
}

static struct position_pending *at(const struct position *p, unsigned i)
{
	return &p->pending[(p->first + i) & (p->size - 1)];
}

static void grow(struct position *p)
{
	unsigned size = p->size ? p->size * 2 : 64;
	struct position_pending *wider = xmalloc(size * sizeof *wider);

	for (unsigned i = 0; i < p->count; i++)
		wider[i] = *at(p, i);
	free(p->pending);
	p->pending = wider;
	p->first = 0;
	p->size = size;
}

void position_deliver(struct position *p, const struct transaction *t)
{
	if (t->first) {
		if (p->count == p->size)
			grow(p);
		*at(p, p->count++) = (struct position_pending){ 0, t->commit_time };
	}
	if (t->last)
		at(p, p->count - 1)->end = t->end_lsn;
}

/* With nothing on its way, what the source has passed over is behind us as well. */
static void settle(struct position *p)
{
	if (!p->count && !p->open && p->idle > p->applied)
		p->applied = p->idle;
}

void position_open(struct position *p, bool open)
{
	p->open = open;
	settle(p);
}

void position_confirm(struct position *p, lsn_t lsn)
{
	if (lsn > p->applied)
		p->applied = lsn;
	while (p->count && at(p, 0)->end && at(p, 0)->end <= p->applied) {
		p->first++;
		p->count--;
	}
	settle(p);
}

void position_idle(struct position *p, lsn_t lsn)
{
	if (lsn > p->idle)
		p->idle = lsn;
	settle(p);
}

int64_t position_oldest(const struct position *p)
{
	return p->count ? at(p, 0)->commit_time : 0;
}
