#include "sink/fold.h"

#include "sink/ops.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

struct fold *fold_create(const struct plan *plan)
{
	struct fold *f = xcalloc(1, sizeof *f);

	f->plan = plan;
	f->tables = xcalloc(plan->ntables, sizeof *f->tables);
	fold_reset(f);
	return f;
}

void fold_reset(struct fold *f)
{
	arena_reset(&f->arena);
	for (unsigned i = 0; i < f->plan->ntables; i++) {
		struct fold_table *t = &f->tables[i];
		*t = (struct fold_table){ .table = &f->plan->tables[i] };
		t->tail = &t->first;
	}
}

void fold_destroy(struct fold *f)
{
	if (!f)
		return;
	arena_finish(&f->arena);
	free(f->tables);
	free(f);
}

static uint64_t hash_key(const struct table_plan *t, const struct value *row)
{
	return values_hash(row, t->key, t->nkey);
}

static bool value_equal(const struct value *a, const struct value *b)
{
	return a->kind == b->kind && (a->kind != VALUE_TEXT || bytes_equal(a->text, b->text));
}

static bool same_key(const struct table_plan *t, const struct value *a, const struct value *b)
{
	for (unsigned i = 0; i < t->nkey; i++)
		if (!value_equal(&a[t->key[i]], &b[t->key[i]]))
			return false;
	return true;
}

static bool has_key(const struct table_plan *t, const struct value *row)
{
	for (unsigned i = 0; i < t->nkey; i++)
		if (row[t->key[i]].kind == VALUE_UNCHANGED)
			return false;
	return true;
}

static void grow(struct fold *f, struct fold_table *t)
{
	unsigned n = t->nslots ? t->nslots * 4 : FIRST_SLOTS;

	t->slots = arena_array(&f->arena, n, sizeof *t->slots);
	t->nslots = n;
	for (struct fold_entry *e = t->first; e; e = e->next) {
		struct fold_entry **slot = &t->slots[e->hash & (n - 1)];
		e->chain = *slot;
		*slot = e;
	}
}

static const struct value *entry_key(const struct fold_entry *e)
{
	return e->before ? e->before : e->after;
}

static struct fold_entry *find(const struct fold_table *t, const struct value *row, uint64_t hash)
{
	struct fold_entry *e = t->nslots ? t->slots[hash & (t->nslots - 1)] : NULL;

	while (e && (e->hash != hash || !same_key(t->table, entry_key(e), row)))
		e = e->chain;
	return e;
}

static struct fold_entry *add(struct fold *f, struct fold_table *t, uint64_t hash)
{
	if (t->count >= t->nslots)
		grow(f, t);
	struct fold_entry *e = arena_zalloc(&f->arena, sizeof *e);
	e->hash = hash;
	e->chain = t->slots[hash & (t->nslots - 1)];
	t->slots[hash & (t->nslots - 1)] = e;
	*t->tail = e;
	t->tail = &e->next;
	t->count++;
	return e;
}

static bool has_unchanged(const struct table_plan *t, const struct value *row)
{
	for (unsigned i = 0; i < t->ncolumns; i++)
		if (t->columns[i].read && row[i].kind == VALUE_UNCHANGED)
			return true;
	return false;
}

/* Later values, with earlier ones where the later is unchanged. */
static const struct value *merge(struct fold *f, const struct table_plan *t,
				 const struct value *earlier, const struct value *later)
{
	if (!earlier || !has_unchanged(t, later))
		return later;
	struct value *v = arena_alloc(&f->arena, t->ncolumns * sizeof *v);
	for (unsigned i = 0; i < t->ncolumns; i++)
		v[i] = later[i].kind == VALUE_UNCHANGED ? earlier[i] : later[i];
	return v;
}

/*
 * Is the row that the change speaks of the one that the batch knows by that key? Where nothing
 * keeps two rows from having one key for a moment (it is deferrable, or none) it may be another.
 */
static bool same_row(const struct table_plan *t, const struct value *known, const struct value *row)
{
	for (unsigned i = 0; !t->key_unique && row && i < t->ncolumns; i++)
		if (t->columns[i].read && !value_equal(&known[i], &row[i]))
			return false;
	return true;
}

static enum fold_result fold_insert(struct fold *f, struct fold_table *t, const struct value *after)
{
	uint64_t hash = hash_key(t->table, after);
	struct fold_entry *e = find(t, after, hash);

	if (e && e->after)
		return FOLD_NEEDS_ORDER; /* two rows of one name: let the target judge */
	if (!e)
		e = add(f, t, hash);
	else
		e->replaced = e->existed;
	e->after = after;
	return FOLDED;
}

static enum fold_result fold_delete(struct fold *f, struct fold_table *t,
				    const struct value *before)
{
	uint64_t hash = hash_key(t->table, before);
	struct fold_entry *e = find(t, before, hash);

	if (e && (!e->after || !same_row(t->table, e->after, before)))
		return FOLD_NEEDS_ORDER;
	if (!e) {
		e = add(f, t, hash);
		e->existed = true;
		e->before = before;
	} else if (!e->existed) {
		e->before = before; /* its name, for later changes of the same row */
	}
	e->after = NULL;
	return FOLDED;
}

static enum fold_result fold_update(struct fold *f, struct fold_table *t,
				    const struct value *before, const struct value *after)
{
	uint64_t hash = hash_key(t->table, after);
	struct fold_entry *e;

	if (before && !same_key(t->table, before, after)) {
		e = find(t, before, hash_key(t->table, before));
		after = merge(f, t->table, e ? e->after : NULL, after);
		if (has_unchanged(t->table, after) || fold_delete(f, t, before) == FOLD_NEEDS_ORDER)
			return FOLD_NEEDS_ORDER;
		return fold_insert(f, t, after);
	}
	e = find(t, after, hash);
	if (e && (!e->after || !same_row(t->table, e->after, before)))
		return FOLD_NEEDS_ORDER;
	if (!e) {
		e = add(f, t, hash);
		e->existed = true;
		e->before = before ? before : after;
	}
	e->after = merge(f, t->table, e->after, after);
	return FOLDED;
}

/* Rows without a name, and targets whose rows have none, know no order but the source's. */
static bool foldable(const struct table_plan *t, enum change_kind kind)
{
	if (kind == CHANGE_TRUNCATE)
		return false;
	if (kind == CHANGE_INSERT && t->nkey == 0)
		return true;
	for (unsigned i = 0; i < t->nflows; i++)
		if (!t->flows[i].keyed && kind != CHANGE_INSERT)
			return false;
	return t->nkey > 0;
}

static enum fold_result fold_nameless(struct fold *f, struct fold_table *t,
				      const struct value *after)
{
	add(f, t, t->count)->after = after;
	return FOLDED;
}

/* A row that is moved, not made again: the two ends of the move must not be parted. */
static bool moves_row(const struct table_plan *t, const struct value *before,
		      const struct value *after)
{
	for (unsigned i = 0; before && after && i < t->nflows; i++)
		if (t->flows[i].moves && !flow_key_same(&t->flows[i], before, after))
			return true;
	return false;
}

static enum fold_result fold_change(struct fold *f, const struct binding *b, const struct change *c,
				    struct err *e)
{
	struct fold_table *t = &f->tables[b->table - f->plan->tables];
	const struct value *before = c->has_before ? binding_row(b, &c->before, &f->arena) : NULL;
	const struct value *after = NULL;

	if (!foldable(b->table, c->kind))
		return FOLD_NEEDS_ORDER;
	if (c->kind != CHANGE_DELETE)
		after = binding_row(b, &c->after, &f->arena);
	if (!binding_check(b, c->kind, after, e))
		return FOLD_FAILED;
	if (t->table->nkey == 0)
		return fold_nameless(f, t, after);
	if ((before && !has_key(t->table, before)) || (after && !has_key(t->table, after)))
		return FOLD_NEEDS_ORDER;
	if (moves_row(t->table, before, after))
		return FOLD_NEEDS_ORDER;
	if (after && c->kind == CHANGE_INSERT)
		return fold_insert(f, t, after);
	if (after)
		return fold_update(f, t, before, after);
	if (before)
		return fold_delete(f, t, before);
	err_set(e, ERR_INPUT, "a change of %s without any row", b->table->label);
	return FOLD_FAILED;
}

enum fold_result fold_add(struct fold *f, struct bindings *bindings, const struct transaction *t,
			  struct err *e)
{
	enum fold_result result = FOLDED;

	for (const struct change *c = t->changes; c && result == FOLDED; c = c->next) {
		if (!c->relation)
			continue; /* a logical message moves only the position */
		const struct binding *b = bindings_find(bindings, c->relation);
		if (b->table)
			result = fold_change(f, b, c, e);
		else if (!binding_unknown(b, e))
			result = FOLD_FAILED;
	}
	return result;
}
