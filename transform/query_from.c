/*
 * FROM of a row flow: old first, and the items that are joined to it one after the other.
 *
 *   FROM old o JOIN app.city c ON ... LEFT JOIN app.zip z ON ..., unnest(o.tags) t
 *        old    item 0                item 1                      item 2
 */
#include "transform/query_tree.h"

struct from {
	struct arena *arena;
	struct query *q;
	struct query_fault *fault;
	unsigned room;
	unsigned place; /* between commas; old leads the first */
	unsigned first; /* item that begins it */
};

static bool refuse(struct from *f, const ProtobufCMessage *m, const char *text)
{
	*f->fault = (struct query_fault){ tree_location(m), text };
	return false;
}

static bool is_old(const PgQuery__Node *n)
{
	return n->node_case == PG_QUERY__NODE__NODE_RANGE_VAR && !*n->range_var->schemaname &&
	       strcmp(n->range_var->relname, "old") == 0;
}

static const PgQuery__Node *leftmost(const PgQuery__Node *n)
{
	while (n->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR)
		n = n->join_expr->larg;
	return n;
}

static const char *function_name(const PgQuery__RangeFunction *f)
{
	const PgQuery__Node *call = f->functions[0]->list->n_items ? f->functions[0]->list->items[0]
								   : NULL;

	if (!call || call->node_case != PG_QUERY__NODE__NODE_FUNC_CALL)
		return NULL;
	return tree_string(call->func_call->n_funcname, call->func_call->funcname,
			   call->func_call->n_funcname - 1);
}

static const char *item_name(const PgQuery__Node *n)
{
	const PgQuery__Alias *alias = NULL;
	const char *name = NULL;

	switch (n->node_case) {
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		alias = n->range_var->alias;
		name = n->range_var->relname;
		break;
	case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
		alias = n->range_function->alias;
		name = function_name(n->range_function);
		break;
	case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
		alias = n->range_subselect->alias;
		break;
	case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC:
		alias = n->range_table_func->alias;
		break;
	default:
		break;
	}
	return alias ? alias->aliasname : name;
}

static bool limit_one(const PgQuery__SelectStmt *s)
{
	const PgQuery__Node *n = s->limit_count;

	return n && n->node_case == PG_QUERY__NODE__NODE_A_CONST &&
	       n->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL && n->a_const->ival->ival <= 1;
}

/* May a sub-SELECT give several rows, as far as can be told without knowing its functions? */
static bool select_many(const PgQuery__SelectStmt *s)
{
	return !limit_one(s) && (s->n_from_clause || s->n_values_lists || s->larg);
}

static void judge_rows(struct query_item *item, const PgQuery__Node *n)
{
	const PgQuery__SelectStmt *s = n->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT
					   ? n->range_subselect->subquery->select_stmt
					   : NULL;

	item->relation = n->node_case == PG_QUERY__NODE__NODE_RANGE_VAR;
	item->many = (s && select_many(s)) ||
		     n->node_case == PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC ||
		     (n->node_case == PG_QUERY__NODE__NODE_RANGE_FUNCTION &&
		      n->range_function->n_functions != 1);
	item->groups = !s || s->n_group_clause || s->larg || s->n_values_lists;
	item->limited = s && limit_one(s);
}

static bool add_item(struct from *f, PgQuery__Node *n, const PgQuery__JoinExpr *join)
{
	struct query *q = f->q;
	unsigned first = f->place ? f->first : q->nitems;

	if (n->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR)
		return refuse(f, &n->base,
			      "joins in parentheses; write them one after the other, old first");
	if (n->node_case == PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE)
		return refuse(f, &n->base,
			      "a sample is not the same rows twice; remove TABLESAMPLE");
	struct query_item *item = &q->items[q->nitems];
	judge_rows(item, n);
	item->name = item_name(n);
	item->at = tree_location(&n->base);
	item->left = join && join->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT;
	q->tree->items[q->nitems++] = (struct tree_item){ n, join, first };
	return true;
}

static bool check_join(struct from *f, const PgQuery__JoinExpr *j)
{
	if (j->alias || j->join_using_alias)
		return refuse(f, &j->base,
			      "a join with a name of its own hides old; remove its AS");
	if (j->is_natural)
		return refuse(f, &j->base,
			      "NATURAL joins by whatever names agree; write the condition with ON");
	if (j->jointype != PG_QUERY__JOIN_TYPE__JOIN_INNER &&
	    j->jointype != PG_QUERY__JOIN_TYPE__JOIN_LEFT)
		return refuse(f, &j->base,
			      "a RIGHT or FULL join makes rows without old; put old first and use "
			      "LEFT JOIN");
	return true;
}

static bool take(struct from *f, PgQuery__Node *n)
{
	if (n == leftmost(f->q->tree->select->from_clause[0]))
		return true; /* old */
	if (n->node_case != PG_QUERY__NODE__NODE_JOIN_EXPR)
		return add_item(f, n, NULL);
	return check_join(f, n->join_expr) && take(f, n->join_expr->larg) &&
	       add_item(f, n->join_expr->rarg, n->join_expr);
}

static bool count_node(const ProtobufCMessage *m, void *context)
{
	++*(unsigned *)context;
	(void)m;
	return true;
}

static bool names_old(const ProtobufCMessage *m, void *context)
{
	const PgQuery__RangeVar *r = (const PgQuery__RangeVar *)m;

	if (TREE_IS(m, range_var) && !*r->schemaname && strcmp(r->relname, "old") == 0)
		*(bool *)context = true;
	return true;
}

static bool take_old(struct from *f, const PgQuery__SelectStmt *s)
{
	const PgQuery__Node *first = s->n_from_clause ? leftmost(s->from_clause[0]) : NULL;
	bool named = false;

	for (size_t i = 0; i < s->n_from_clause; i++) {
		names_old(&s->from_clause[i]->base, &named);
		tree_walk(&s->from_clause[i]->base, names_old, &named);
	}
	if (!named) {
		refuse(f, &s->base,
		       "FROM does not name old; a row flow is a SELECT over old, the row that "
		       "changed");
		f->fault->at = 0;
		return false;
	}
	if (!is_old(first))
		return refuse(f, &first->base,
			      "old does not stand first in FROM; begin with it and join the others "
			      "to it");
	f->q->tree->old = first->range_var;
	if (first->range_var->alias && first->range_var->alias->n_colnames)
		return refuse(f, &first->base,
			      "old's columns keep their names; rename the outputs");
	f->q->row = first->range_var->alias ? first->range_var->alias->aliasname : "old";
	return true;
}

bool from_take(struct arena *a, struct query *q, struct query_fault *fault)
{
	const PgQuery__SelectStmt *s = q->tree->select;
	struct from f = { .arena = a, .q = q, .fault = fault };

	if (!take_old(&f, s))
		return false;
	for (size_t i = 0; i < s->n_from_clause; i++)
		tree_walk(&s->from_clause[i]->base, count_node, &f.room);
	f.room += (unsigned)s->n_from_clause;
	q->items = arena_array(a, f.room, sizeof *q->items);
	q->tree->items = arena_array(a, f.room, sizeof *q->tree->items);
	for (unsigned i = 0; i < s->n_from_clause; i++) {
		f.place = i;
		f.first = q->nitems;
		if (!take(&f, s->from_clause[i]))
			return false;
	}
	return true;
}

/* --- less of it --- */

struct prune {
	struct arena *arena;
	const struct query *q;
	const bool *keep;
};

static bool kept(const struct prune *p, const PgQuery__Node *n)
{
	for (unsigned i = 0; i < p->q->nitems; i++)
		if (p->q->tree->items[i].node == n)
			return p->keep[i];
	return true; /* old */
}

static PgQuery__Node *pruned(const struct prune *p, PgQuery__Node *n)
{
	if (n->node_case != PG_QUERY__NODE__NODE_JOIN_EXPR)
		return kept(p, n) ? n : NULL;
	PgQuery__Node *left = pruned(p, n->join_expr->larg);
	if (!left || !kept(p, n->join_expr->rarg))
		return left;
	PgQuery__JoinExpr *join = arena_alloc(p->arena, sizeof *join);
	PgQuery__Node *node = arena_alloc(p->arena, sizeof *node);
	*join = *n->join_expr;
	*node = *n;
	join->larg = left;
	node->join_expr = join;
	return node;
}

void from_prune(struct arena *a, const struct query *q, const bool *keep, PgQuery__SelectStmt *s)
{
	struct prune p = { a, q, keep };
	PgQuery__Node **list = arena_array(a, s->n_from_clause, sizeof(void *));
	size_t n = 0;

	for (size_t i = 0; i < s->n_from_clause; i++) {
		list[n] = pruned(&p, s->from_clause[i]);
		n += list[n] != NULL;
	}
	s->from_clause = list;
	s->n_from_clause = n;
}
