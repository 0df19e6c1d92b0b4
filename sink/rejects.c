#include "sink/rejects.h"

#include "pg/ledger_reject.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

struct node {
	uint64_t hash;
	unsigned table;
	struct node *next;
};

struct rejects {
	const struct plan *plan;
	unsigned count, *of; /* all; of each table of the plan */
	struct node **slots;
	unsigned nslots; /* a power of two */
	bool dirty;
};

struct rejects *rejects_create(const struct plan *plan)
{
	struct rejects *r = xcalloc(1, sizeof *r);

	r->plan = plan;
	r->of = xcalloc(plan->ntables, sizeof *r->of);
	r->nslots = FIRST_SLOTS;
	r->slots = xcalloc(r->nslots, sizeof *r->slots);
	return r;
}

static void empty(struct rejects *r)
{
	for (unsigned i = 0; i < r->nslots; i++)
		while (r->slots[i]) {
			struct node *n = r->slots[i];
			r->slots[i] = n->next;
			free(n);
		}
	memset(r->of, 0, r->plan->ntables * sizeof *r->of);
	r->count = 0;
}

void rejects_destroy(struct rejects *r)
{
	if (!r)
		return;
	empty(r);
	free(r->slots);
	free(r->of);
	free(r);
}

static struct node **slot(const struct rejects *r, uint64_t hash)
{
	return &r->slots[hash & (r->nslots - 1)];
}

static void grow(struct rejects *r)
{
	struct node **old = r->slots;
	unsigned n = r->nslots;

	r->nslots = n * 4;
	r->slots = xcalloc(r->nslots, sizeof *r->slots);
	for (unsigned i = 0; i < n; i++)
		while (old[i]) {
			struct node *moved = old[i];
			old[i] = moved->next;
			moved->next = *slot(r, moved->hash);
			*slot(r, moved->hash) = moved;
		}
	free(old);
}

static unsigned number(const struct rejects *r, const struct table_plan *t)
{
	return (unsigned)(t - r->plan->tables);
}

static void put(struct rejects *r, unsigned table, uint64_t hash)
{
	struct node *n = xmalloc(sizeof *n);

	if (r->count >= r->nslots)
		grow(r);
	*n = (struct node){ hash, table, *slot(r, hash) };
	*slot(r, hash) = n;
	r->count++;
	r->of[table]++;
}

void rejects_add(struct rejects *r, const struct table_plan *t, uint64_t hash)
{
	put(r, number(r, t), hash);
	r->dirty = true;
}

void rejects_remove(struct rejects *r, const struct table_plan *t, uint64_t hash)
{
	unsigned table = number(r, t);
	struct node **link = slot(r, hash);

	r->dirty = true;
	while (*link && ((*link)->hash != hash || (*link)->table != table))
		link = &(*link)->next;
	struct node *n = *link;
	if (!n)
		return;
	*link = n->next;
	free(n);
	r->count--;
	r->of[table]--;
}

void rejects_clear(struct rejects *r, const struct table_plan *t)
{
	unsigned table = number(r, t);

	for (unsigned i = 0; r->of[table] && i < r->nslots; i++)
		for (struct node **link = &r->slots[i]; *link;) {
			struct node *n = *link;
			if (n->table != table) {
				link = &n->next;
				continue;
			}
			*link = n->next;
			free(n);
			r->count--;
			r->of[table]--;
		}
	r->dirty = true;
}

bool rejects_load(struct rejects *r, struct pg *target, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct reject_known *known;
	unsigned count = 0;
	bool ok = ledger_rejects_known(target, r->plan->migration, &scratch, &known, &count, e);

	if (ok)
		empty(r);
	for (unsigned i = 0; ok && i < count; i++)
		for (unsigned t = 0; t < r->plan->ntables; t++)
			if (strcmp(r->plan->tables[t].label, known[i].source) == 0)
				put(r, t, known[i].hash);
	r->dirty = !ok;
	arena_finish(&scratch);
	return ok;
}

bool rejects_again(struct rejects *r, struct pg *target, struct err *e)
{
	bool ok = rejects_load(r, target, e);

	r->dirty = true;
	return ok;
}

bool rejects_dirty(const struct rejects *r)
{
	return r->dirty;
}

void rejects_settled(struct rejects *r)
{
	r->dirty = false;
}

unsigned rejects_count(const struct rejects *r)
{
	return r->count;
}

unsigned rejects_of(const struct rejects *r, const struct table_plan *t)
{
	return r->of[number(r, t)];
}

bool rejects_room(const struct rejects *r, unsigned more)
{
	return r->count + more <= r->plan->rejects;
}

bool rejects_possible(const struct rejects *r)
{
	return r->plan->rejects || r->count;
}

static bool has(const struct rejects *r, unsigned table, uint64_t hash)
{
	const struct node *n = *slot(r, hash);

	while (n && (n->hash != hash || n->table != table))
		n = n->next;
	return n != NULL;
}

bool rejects_touched(const struct rejects *r, const struct table_plan *t, enum change_kind kind,
		     const struct value *row)
{
	if (!rejects_of(r, t) || kind == CHANGE_INSERT)
		return false;
	if (kind == CHANGE_TRUNCATE)
		return true;
	for (unsigned i = 0; i < t->nflows; i++) {
		const struct flow_plan *f = &t->flows[i];
		if (has(r, number(r, t), values_hash(row, f->identity, f->nidentity)))
			return true;
		if (t->key_unique)
			break; /* all flows know the row by the same columns */
	}
	return false;
}

bool rejects_in(const struct rejects *r, struct bindings *bindings, const struct transaction *t,
		struct arena *a)
{
	for (const struct change *c = t->changes; r->count && c; c = c->next) {
		const struct binding *b = c->relation ? bindings_find(bindings, c->relation) : NULL;
		if (!b || !b->table || !rejects_of(r, b->table))
			continue;
		const struct row *row = c->has_before ? &c->before : &c->after;
		if (rejects_touched(r, b->table, c->kind,
				    c->kind == CHANGE_TRUNCATE ? NULL : binding_row(b, row, a)))
			return true;
	}
	return false;
}
