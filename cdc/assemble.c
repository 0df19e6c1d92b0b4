#include "cdc/assemble.h"

#include <inttypes.h>
#include <stdlib.h>

struct assembler {
	const struct decoder_ops *ops;
	struct decoder *decoder;
	size_t part_bytes;
	struct transaction *open; /* NULL between COMMIT and BEGIN */
	uint32_t sequence;        /* of the next change of the open transaction */
	struct arena outside;     /* for messages that come while nothing is open */
};

struct assembler *assembler_create(const struct decoder_ops *ops, size_t part_bytes)
{
	struct assembler *a = xcalloc(1, sizeof *a);

	a->ops = ops;
	a->decoder = ops->create();
	a->part_bytes = part_bytes;
	return a;
}

void assembler_destroy(struct assembler *a)
{
	if (!a)
		return;
	transaction_destroy(a->open);
	a->ops->destroy(a->decoder);
	arena_finish(&a->outside);
	free(a);
}

bool assembler_open(const struct assembler *a)
{
	return a->open != NULL;
}

size_t assembler_bytes(const struct assembler *a)
{
	return a->open ? transaction_size(a->open) : 0;
}

static bool begin(struct assembler *a, const struct event *event, struct err *e)
{
	if (a->open)
		return err_set(e, ERR_INPUT, "BEGIN inside transaction %" PRIu32, a->open->xid);
	a->open = transaction_create();
	a->open->xid = event->xid;
	a->open->commit_lsn = event->commit_lsn;
	a->open->commit_time = event->commit_time;
	a->sequence = 0;
	return true;
}

/* Hands out what there is; what follows goes into a next part of the same transaction. */
static void split(struct assembler *a, struct transaction **out)
{
	struct transaction *full = a->open, *rest = transaction_create();

	rest->first = false;
	rest->xid = full->xid;
	rest->commit_lsn = full->commit_lsn;
	rest->commit_time = full->commit_time;
	a->open = rest;
	*out = full;
}

static bool append(struct assembler *a, struct change *c, struct transaction **out, struct err *e)
{
	struct change *next;

	if (!a->open)
		return err_set(e, ERR_INPUT, "a change outside a transaction");
	for (; c; c = next) {
		next = c->next;
		c->sequence = a->sequence++;
		transaction_append(a->open, c);
	}
	if (transaction_size(a->open) > a->part_bytes)
		split(a, out);
	return true;
}

static bool commit(struct assembler *a, const struct event *event, struct transaction **out,
		   struct err *e)
{
	struct transaction *t = a->open;

	if (!t)
		return err_set(e, ERR_INPUT, "COMMIT without BEGIN");
	if (t->commit_lsn != event->commit_lsn)
		return err_set(e, ERR_INPUT, "COMMIT of another transaction than %" PRIu32, t->xid);
	t->last = true;
	t->end_lsn = event->end_lsn;
	a->open = NULL;
	*out = t;
	return true;
}

bool assembler_feed(struct assembler *a, struct bytes msg, struct transaction **out, struct err *e)
{
	struct event event;

	*out = NULL;
	if (!a->open)
		arena_reset(&a->outside);
	if (!a->ops->decode(a->decoder, msg, a->open ? &a->open->arena : &a->outside, &event, e))
		return false;
	switch (event.kind) {
	case EVENT_BEGIN:
		return begin(a, &event, e);
	case EVENT_CHANGE:
		return append(a, event.changes, out, e);
	case EVENT_COMMIT:
		return commit(a, &event, out, e);
	case EVENT_NONE:
	case EVENT_MESSAGE:
		break;
	}
	return true;
}
