#include "core/binding.h"

static int column_place(const struct relation *r, const char *name)
{
	for (unsigned i = 0; i < r->ncolumns; i++)
		if (strcmp(r->columns[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void map_columns(struct binding *b, struct arena *a)
{
	const struct table_plan *t = b->table;

	b->place = arena_array(a, t->ncolumns, sizeof *b->place);
	b->straight = b->relation->ncolumns == t->ncolumns;
	b->retyped = b->missing = -1;
	for (unsigned i = 0; i < t->ncolumns; i++) {
		b->place[i] = column_place(b->relation, t->columns[i].name);
		b->straight = b->straight && b->place[i] == (int)i;
		if (t->columns[i].read && b->place[i] < 0 && b->relation->whole)
			b->missing = (int)i;
		if (t->columns[i].read && b->place[i] >= 0 &&
		    b->relation->columns[b->place[i]].type != t->columns[i].type_oid)
			b->retyped = (int)i;
	}
}

const struct binding *bindings_find(struct bindings *list, const struct relation *relation)
{
	for (struct binding *b = list->first; b; b = b->next)
		if (b->relation == relation)
			return b;
	struct binding *b = arena_zalloc(list->arena, sizeof *b);
	b->relation = relation;
	b->table = plan_table(list->plan, relation->schema, relation->name);
	if (b->table)
		map_columns(b, list->arena);
	b->next = list->first;
	list->first = b;
	return b;
}

const struct value *binding_row(const struct binding *b, const struct row *row, struct arena *a)
{
	static const struct value unchanged = { VALUE_UNCHANGED, { "", 0 } };
	unsigned n = b->table->ncolumns;

	if (b->straight)
		return row->values;
	struct value *v = arena_alloc(a, n * sizeof *v);
	for (unsigned i = 0; i < n; i++)
		v[i] = b->place[i] < 0 ? unchanged : row->values[b->place[i]];
	return v;
}

bool binding_unknown(const struct binding *b, struct err *e)
{
	if (!b->relation->whole) /* the plugin does not know publications */
		return true;
	return err_set(
	    e, ERR_CONFIG,
	    "the stream carries table %s.%s, which the migration does not know: was a table "
	    "renamed? abort and start again",
	    b->relation->schema, b->relation->name);
}

static bool gone(const struct table_plan *t, unsigned column, struct err *e)
{
	return err_set(
	    e, ERR_CONFIG,
	    "column \"%s\" of %s is read by a flow, but the stream no longer carries it: "
	    "it was dropped or renamed; abort this migration and start one that fits the table",
	    t->columns[column].name, t->label);
}

/* The plan is made anew with the next try, of the table as it is by then. */
static bool unsent(const struct table_plan *t, unsigned column, struct err *e)
{
	return err_set(
	    e, ERR_RETRY,
	    "a long \"%s\" of %s did not come with an UPDATE that left it as it was: the table had "
	    "another replica identity then, or the column was widened since run began; run looks "
	    "at the table again; if it stays here, abort and start again",
	    t->columns[column].name, t->label);
}

bool binding_check(const struct binding *b, enum change_kind kind, const struct value *after,
		   struct err *e)
{
	const struct table_plan *t = b->table;

	if (b->missing >= 0)
		return gone(t, (unsigned)b->missing, e);
	if (b->retyped >= 0)
		return err_set(
		    e, ERR_CONFIG,
		    "column \"%s\" of %s was %s when the migration began and has another "
		    "type now; abort this migration and start one that fits the table",
		    t->columns[b->retyped].name, t->label, t->columns[b->retyped].type);
	for (unsigned i = 0; after && i < t->ncolumns; i++) {
		const struct plan_column *c = &t->columns[i];
		if (!c->read || after[i].kind != VALUE_UNCHANGED ||
		    (kind == CHANGE_UPDATE && c->toastable))
			continue;
		return kind == CHANGE_UPDATE && c->varlena ? unsent(t, i, e) : gone(t, i, e);
	}
	return true;
}
