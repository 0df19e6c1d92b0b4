/* Which of old's columns each part of a SELECT reads, and the SELECT narrowed to some outputs. */
#include "transform/query_tree.h"
#include "transform/sqlname.h"

#include <stdint.h>

struct resolve {
	struct arena *arena;
	struct query *q;
	const char *const *columns;
	bool others; /* something else than old stands in some FROM */
	struct query_reads *into;
	struct query_fault *fault;
	bool ok;
};

static bool other_item(const ProtobufCMessage *m, void *context)
{
	if (TREE_IS(m, range_function) || TREE_IS(m, range_subselect) ||
	    TREE_IS(m, range_table_func))
		*(bool *)context = true;
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

/* x: a column of old, old itself as a whole row, or a name from elsewhere in FROM. */
static void see_bare(struct resolve *r, const PgQuery__ColumnRef *c, const char *name)
{
	unsigned i = column_find(r, name);

	if (i < r->q->ncolumns)
		r->into->column[i] = true;
	else if (strcmp(name, r->q->row) == 0)
		read_all(r);
	else if (r->others)
		r->into->elsewhere = true;
	else
		unknown_column(r, c, name);
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
		r->into->elsewhere = true;
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

static void reads_init(struct arena *a, unsigned ncolumns, struct query_reads *reads)
{
	reads->column = arena_array(a, ncolumns, sizeof *reads->column);
	reads->elsewhere = false;
}

static void reads_add(unsigned ncolumns, struct query_reads *into, const struct query_reads *more)
{
	for (unsigned i = 0; i < ncolumns; i++)
		into->column[i] |= more->column[i];
	into->elsewhere |= more->elsewhere;
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
		reads_init(r->arena, r->q->ncolumns, &o->reads);
		if (!resolve_part(r, val, &o->reads))
			return false;
		if (o->reads.elsewhere)
			reads_add(r->q->ncolumns, &o->reads, &r->q->from);
		find_plain(r, o, val);
		o->constant = constant(r->arena, val);
	}
	return true;
}

static void sum_reads(struct resolve *r)
{
	struct query *q = r->q;
	struct query_reads all = { 0 };

	reads_init(r->arena, q->ncolumns, &all);
	reads_add(q->ncolumns, &all, &q->from);
	reads_add(q->ncolumns, &all, &q->filter);
	for (unsigned i = 0; i < q->noutputs; i++)
		reads_add(q->ncolumns, &all, &q->outputs[i].reads);
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
	tree_walk(&s->base, other_item, &r.others);
	reads_init(a, ncolumns, &q->from);
	reads_init(a, ncolumns, &q->filter);
	bool ok = true;
	for (size_t i = 0; ok && i < s->n_from_clause; i++)
		ok = resolve_part(&r, s->from_clause[i], &q->from);
	ok = ok && resolve_outputs(&r) &&
	     (!s->where_clause || resolve_part(&r, s->where_clause, &q->filter));
	if (ok)
		sum_reads(&r);
	return ok;
}

/* FROM old alone, where nothing else of FROM is asked for. */
static void narrow_from(struct arena *a, const struct query *q, PgQuery__SelectStmt *s)
{
	PgQuery__Node *node = arena_alloc(a, sizeof *node);
	PgQuery__Node **list = arena_alloc(a, sizeof(void *));

	pg_query__node__init(node);
	node->node_case = PG_QUERY__NODE__NODE_RANGE_VAR;
	node->range_var = q->tree->old;
	list[0] = node;
	s->from_clause = list;
	s->n_from_clause = 1;
}

const char *query_narrow(struct arena *a, const struct query *q, unsigned noutputs,
			 const unsigned *outputs, bool filtered, struct query_reads *reads)
{
	PgQuery__SelectStmt s = *q->tree->select;

	reads_init(a, q->ncolumns, reads);
	s.target_list = arena_array(a, noutputs, sizeof(void *));
	s.n_target_list = noutputs;
	for (unsigned i = 0; i < noutputs; i++) {
		s.target_list[i] = q->tree->select->target_list[outputs[i]];
		reads_add(q->ncolumns, reads, &q->outputs[outputs[i]].reads);
	}
	if (filtered) {
		reads_add(q->ncolumns, reads, &q->filter);
		reads_add(q->ncolumns, reads, &q->from);
	} else {
		s.where_clause = NULL;
		if (!reads->elsewhere)
			narrow_from(a, q, &s);
	}
	return tree_deparse(a, &s);
}
