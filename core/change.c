#include "core/change.h"

#include <stdlib.h>

struct transaction *transaction_create(void)
{
	struct transaction *t = xcalloc(1, sizeof *t);

	t->first = true;
	t->tail = &t->changes;
	return t;
}

void transaction_destroy(struct transaction *t)
{
	if (!t)
		return;
	arena_finish(&t->arena);
	free(t);
}

void transaction_destroy_all(struct transaction *first)
{
	for (struct transaction *next; first; first = next) {
		next = first->next;
		transaction_destroy(first);
	}
}

void transaction_append(struct transaction *t, struct change *c)
{
	c->next = NULL;
	*t->tail = c;
	t->tail = &c->next;
	t->nchanges += c->relation != NULL;
}

size_t transaction_size(const struct transaction *t)
{
	return sizeof *t + t->arena.held;
}

bool relation_equal(const struct relation *a, const struct relation *b)
{
	if (strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0 ||
	    a->ncolumns != b->ncolumns)
		return false;
	for (unsigned i = 0; i < a->ncolumns; i++)
		if (strcmp(a->columns[i].name, b->columns[i].name) != 0 ||
		    a->columns[i].type != b->columns[i].type ||
		    a->columns[i].identity != b->columns[i].identity)
			return false;
	return true;
}

/* FNV-1a over the texts, each ended, so that ('a','b') and ('ab','') differ. */
uint64_t values_hash(const struct value *row, const unsigned *columns, unsigned count)
{
	uint64_t h = 14695981039346656037u;

	for (unsigned i = 0; i < count; i++) {
		const struct value *v = &row[columns[i]];
		for (size_t k = 0; k < v->text.len; k++)
			h = (h ^ (unsigned char)v->text.data[k]) * 1099511628211u;
		h = (h ^ (256u + v->kind)) * 1099511628211u;
	}
	return h;
}
