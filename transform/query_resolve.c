/* Which of old's columns each part of a SELECT reads, and the SELECT narrowed to some outputs. */
#include "transform/query_tree.h"
#include "transform/sqlname.h"

#include <stdint.h>

struct resolve {
	struct arena *arena;
	struct query *q;
	const char *const *columns;
	bool others;    /* something else than old stands in some FROM */
	unsigned scope; /* items of FROM that can be seen: the first ones */
	struct query_reads *into;
	struct query_fault *fault;
	bool ok;
};

/* Something that a bare name may belong to: a table beside old, a function, a sub-SELECT. */
static bool other_item(const ProtobufCMessage *m, void *context)
{
	struct resolve *r = context;

	if (TREE_IS(m, range_function) || TREE_IS(m, range_subselect) ||
	    TREE_IS(m, range_table_func) ||
	    (TREE_IS(m, range_var) && (const PgQuery__RangeVar *)m != r->q->tree->old))
		r->others = true;
	return true;
}

static unsigned column_find(const struct resolve *r, const char *name)
{
	unsigned i = 0;

	while (i < r->q->ncolumns && strcmp(r->columns[i], name) != 0)
		i++;
	return i;
}

static void read_all(struct resolve *r)
{
	for (unsigned i = 0; i < r->q->ncolumns; i++)
		r->into->column[i] = true;
}

static void refuse(struct resolve *r, const ProtobufCMessage *m, const char *text)
{
	if (r->ok)
		*r->fault = (struct query_fault){ tree_location(m), text };
	r->ok = false;
}

static void unknown_column(struct resolve *r, const PgQuery__ColumnRef *c, const char *name)
{
	const char *near = nearest_name(name, r->columns, r->q->ncolumns);

	refuse(
	    r, &c->base,
	    near ? arena_printf(r->arena, "old has no column \"%s\"; did you mean \"%s\"?", name,
				near)
		 : arena_printf(r->arena, "old has no column \"%s\"; name one that it has", name));
}

static void reads_add(const struct query *q, struct query_reads *into,
		      const struct query_reads *more)
{
	for (unsigned i = 0; i < q->ncolumns; i++)
		into->column[i] |= more->column[i];
	for (unsigned i = 0; i < q->nitems; i++)
		into->item[i] |= more->item[i];
	into->elsewhere |= more->elsewhere;
}

/* An item that is read brings what it reads itself. */
static void read_item(struct resolve *r, unsigned item)
{
	if (r->into != &r->q->items[item].reads)
		reads_add(r->q, r->into, &r->q->items[item].reads);
	r->into->item[item] = true;
}

/* An item called that; its column of that name where it has but one; or nitems. */
static unsigned item_find(const struct resolve *r, const char *name)
{
	unsigned i = 0;

	while (i < r->q->nitems && !(r->q->items[i].name && strcmp(r->q->items[i].name, name) == 0))
		i++;
	return i;
}

static bool alias_has(const PgQuery__Node *n, const char *name)
{
	const PgQuery__Alias *a =
	    n->node_case == PG_QUERY__NODE__NODE_RANGE_FUNCTION    ? n->range_function->alias
	    : n->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT ? n->range_subselect->alias
	    : n->node_case == PG_QUERY__NODE__NODE_RANGE_VAR       ? n->range_var->alias
								   : NULL;

	for (size_t i = 0; a && i < a->n_colnames; i++)
		if (strcmp(tree_string(a->n_colnames, a->colnames, i), name) == 0)
			return true;
	return false;
}

/* A bare name that is not old's: the item that surely has it, or any of them. */
static void read_elsewhere(struct resolve *r, const char *name)
{
	unsigned known = item_find(r, name);

	r->into->elsewhere = true;
	for (unsigned i = 0; known == r->q->nitems && i < r->q->nitems; i++)
		if (alias_has(r->q->tree->items[i].node, name))
			known = i;
	for (unsigned i = 0; i < r->q->nitems && i < r->scope; i++)
		if (known == i || known == r->q->nitems)
			read_item(r, i);
}

/* x: a column of old, old itself as a whole row, or a name from elsewhere in FROM. */
static void see_bare(struct resolve *r, const PgQuery__ColumnRef *c, const char *name)
{
	unsigned i = column_find(r, name);

	if (i < r->q->ncolumns)
		r->into->column[i] = true;
	else if (strcmp(name, r->q->row) == 0)
		read_all(r);
	else if (r->others)
		read_elsewhere(r, name);
	else
		unknown_column(r, c, name);
}

static void read_named(struct resolve *r, const char *qualifier)
{
	unsigned i = item_find(r, qualifier);

	r->into->elsewhere = true;
	if (i < r->q->nitems && i < r->scope)
		read_item(r, i);
}

/* row.x and row.* */
static void see_field(struct resolve *r, const PgQuery__ColumnRef *c)
{
	const char *name = tree_string(c->n_fields, c->fields, 1);
	unsigned i = name ? column_find(r, name) : 0;

	if (!name)
		read_all(r);
	else if (i < r->q->ncolumns)
		r->into->column[i] = true;
	else
		unknown_column(r, c, name);
}

static void see_qualified(struct resolve *r, const PgQuery__ColumnRef *c, const char *qualifier)
{
	if (c->n_fields == 2 && strcmp(qualifier, r->q->row) == 0)
		see_field(r, c);
	else if (strcmp(qualifier, "old") == 0)
		refuse(r, &c->base,
		       arena_printf(r->arena, "old is called %s in this FROM; write %s.", r->q->row,
				    r->q->row));
	else if (r->others && c->n_fields == 2)
		read_named(r, qualifier);
	else
		refuse(r, &c->base,
		       arena_printf(r->arena, "FROM has no relation \"%s\"; write %s.column",
				    qualifier, r->q->row));
}

static void see_column(struct resolve *r, const PgQuery__ColumnRef *c)
{
	const char *first = tree_string(c->n_fields, c->fields, 0);

	if (!first)
		r->into->elsewhere = true; /* a bare * of a sub-SELECT: old is not in its FROM */
	else if (c->n_fields == 1)
		see_bare(r, c, first);
	else
		see_qualified(r, c, first);
}

/* USING (a) reads a of both sides. */
static void see_using(struct resolve *r, const PgQuery__JoinExpr *j)
{
	for (size_t i = 0; i < j->n_using_clause; i++) {
		const char *name = tree_string(j->n_using_clause, j->using_clause, i);
		unsigned c = column_find(r, name ? name : "");
		if (c < r->q->ncolumns)
			r->into->column[c] = true;
	}
}

static bool see(const ProtobufCMessage *m, void *context)
{
	struct resolve *r = context;

	if (TREE_IS(m, column_ref))
		see_column(r, (const PgQuery__ColumnRef *)m);
	else if (TREE_IS(m, join_expr))
		see_using(r, (const PgQuery__JoinExpr *)m);
	else if (TREE_IS(m, alias) &&
		 strcmp(((const PgQuery__Alias *)m)->aliasname, r->q->row) == 0 &&
		 (const PgQuery__Alias *)m != r->q->tree->old->alias)
		refuse(r, m,
		       arena_printf(r->arena, "\"%s\" names the changed row; choose another alias",
				    r->q->row));
	return r->ok;
}

static void reads_init(struct arena *a, const struct query *q, struct query_reads *reads)
{
	reads->column = arena_array(a, q->ncolumns, sizeof *reads->column);
	reads->item = arena_array(a, q->nitems, sizeof *reads->item);
	reads->elsewhere = false;
}

/* A node and all below it, into one set of reads. */
static bool resolve_part(struct resolve *r, const PgQuery__Node *part, struct query_reads *into)
{
	r->into = into;
	if (see(&part->base, r))
		tree_walk(&part->base, see, r);
	return r->ok;
}

static void find_plain(const struct resolve *r, struct query_output *o, const PgQuery__Node *v)
{
	unsigned count = 0;

	while (v->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
		v = v->type_cast->arg;
	for (unsigned i = 0; i < r->q->ncolumns; i++) {
		if (!o->reads.column[i])
			continue;
		o->column = i;
		count++;
	}
	o->plain = v->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && count == 1 &&
		   !o->reads.elsewhere;
}

static const char *constant(struct arena *a, const PgQuery__Node *v)
{
	const PgQuery__AConst *k = v->node_case == PG_QUERY__NODE__NODE_A_CONST ? v->a_const : NULL;

	if (k && k->val_case == PG_QUERY__A__CONST__VAL_IVAL)
		return arena_printf(a, "%d", k->ival->ival);
	if (k && k->val_case == PG_QUERY__A__CONST__VAL_SVAL)
		return arena_printf(a, "'%s", k->sval->sval);
	return NULL;
}

static bool resolve_outputs(struct resolve *r)
{
	const PgQuery__SelectStmt *s = r->q->tree->select;

	for (unsigned i = 0; i < r->q->noutputs; i++) {
		struct query_output *o = &r->q->outputs[i];
		const PgQuery__Node *val = s->target_list[i]->res_target->val;
		reads_init(r->arena, r->q, &o->reads);
		if (!resolve_part(r, val, &o->reads))
			return false;
		find_plain(r, o, val);
		o->constant = constant(r->arena, val);
	}
	return true;
}

/* An item sees those before it; joined, also itself. It rests on those of its own place. */
static bool resolve_item(struct resolve *r, unsigned i)
{
	struct query_item *item = &r->q->items[i];
	const struct tree_item *t = &r->q->tree->items[i];

	reads_init(r->arena, r->q, &item->reads);
	r->scope = i;
	if (!resolve_part(r, t->node, &item->reads))
		return false;
	r->scope = i + 1;
	if (t->join && t->join->quals && !resolve_part(r, t->join->quals, &item->reads))
		return false;
	if (t->join)
		see_using(r, t->join);
	r->into = &item->reads;
	for (unsigned k = t->first; k < i; k++)
		read_item(r, k);
	item->reads.item[i] = false;
	return true;
}

/* Items whose absence would make another number of rows; a table by LEFT JOIN is found once. */
static bool resolve_from(struct resolve *r)
{
	struct query *q = r->q;

	for (unsigned i = 0; i < q->nitems; i++) {
		if (!resolve_item(r, i))
			return false;
		if (q->items[i].relation && q->items[i].left)
			continue;
		reads_add(q, &q->from, &q->items[i].reads);
		q->from.item[i] = true;
	}
	r->scope = q->nitems;
	return true;
}

/* An aggregate over old's columns alone belongs to the flow's own SELECT, wherever it stands. */
static bool see_call(const ProtobufCMessage *m, void *context)
{
	struct resolve *r = context;
	struct query_reads reads = { 0 };
	bool any = false;

	if (!TREE_IS(m, func_call))
		return r->ok;
	reads_init(r->arena, r->q, &reads);
	r->into = &reads;
	tree_walk(m, see, r);
	for (unsigned i = 0; i < r->q->ncolumns; i++)
		any |= reads.column[i];
	for (unsigned i = 0; i < r->q->functions.count; i++)
		if (r->q->functions.names[i].at == tree_location(m))
			r->q->functions.names[i].of_old |= any && !reads.elsewhere;
	return r->ok;
}

static void sum_reads(struct resolve *r)
{
	struct query *q = r->q;
	struct query_reads all = { 0 };

	reads_init(r->arena, q, &all);
	for (unsigned i = 0; i < q->nitems; i++)
		reads_add(q, &all, &q->items[i].reads);
	reads_add(q, &all, &q->filter);
	for (unsigned i = 0; i < q->noutputs; i++)
		reads_add(q, &all, &q->outputs[i].reads);
	q->reads = all.column;
}

bool query_resolve(struct arena *a, struct query *q, unsigned ncolumns, const char *const *columns,
		   struct query_fault *fault)
{
	const PgQuery__SelectStmt *s = q->tree->select;
	struct resolve r = {
		.arena = a,
		.q = q,
		.columns = columns,
		.fault = fault,
		.ok = true,
	};

	q->ncolumns = ncolumns;
	tree_walk(&s->base, other_item, &r);
	reads_init(a, q, &q->from);
	reads_init(a, q, &q->filter);
	if (!resolve_from(&r) || !resolve_outputs(&r) ||
	    (s->where_clause && !resolve_part(&r, s->where_clause, &q->filter)))
		return false;
	sum_reads(&r);
	tree_walk(&s->base, see_call, &r);
	return r.ok;
}

bool query_where_stays(const struct query *q, const struct query_reads *reads)
{
	for (unsigned i = 0; i < q->ncolumns; i++)
		if (q->filter.column[i] && !reads->column[i])
			return false;
	return !q->filter.elsewhere;
}

const char *query_narrow(struct arena *a, const struct query *q, unsigned noutputs,
			 const unsigned *outputs, bool filtered, struct query_reads *reads)
{
	PgQuery__SelectStmt s = *q->tree->select;

	reads_init(a, q, reads);
	s.target_list = arena_array(a, noutputs, sizeof(void *));
	s.n_target_list = noutputs;
	for (unsigned i = 0; i < noutputs; i++) {
		s.target_list[i] = q->tree->select->target_list[outputs[i]];
		reads_add(q, reads, &q->outputs[outputs[i]].reads);
	}
	if (filtered) {
		reads_add(q, reads, &q->filter);
		for (unsigned i = 0; i < q->nitems; i++)
			reads_add(q, reads, &q->items[i].reads);
	} else {
		if (!query_where_stays(q, reads))
			s.where_clause = NULL;
		from_prune(a, q, reads->item, &s);
	}
	return tree_deparse(a, &s);
}
