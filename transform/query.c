/* The shape of a row flow's SELECT; what it reads is found in query_resolve.c. */
#include "transform/query.h"

#include "transform/query_tree.h"

#include <ctype.h>
#include <stdint.h>
#include <strings.h>

struct shape {
	struct arena *arena;
	struct query *q;
	struct query_fault *fault;
	unsigned depth; /* of sub-SELECTs */
	unsigned item;  /* the item of the top FROM that is looked at, from 1; 0: none */
	const ProtobufCMessage *call; /* the function that makes the item's rows */
	const ProtobufCMessage *cast; /* the literal whose type was told */
	bool ok;
};

static bool refuse(struct query_fault *fault, size_t at, const char *text)
{
	*fault = (struct query_fault){ at, text };
	return false;
}

static void shape_refuse(struct shape *s, const ProtobufCMessage *m, const char *text)
{
	if (s->ok)
		refuse(s->fault, tree_location(m), text);
	s->ok = false;
}

/* Doubles as it fills, as the names come one by one. */
static struct query_name *name_add(struct arena *a, struct query_names *list)
{
	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count ? (size_t)list->count * 2 : 1;
		struct query_name *more = arena_array(a, room, sizeof *more);
		if (list->count)
			memcpy(more, list->names, list->count * sizeof *more);
		list->names = more;
	}
	return &list->names[list->count++];
}

static struct query_name *collect(struct shape *s, struct query_names *list, size_t n,
				  PgQuery__Node *const *parts, size_t at)
{
	struct query_name *name = name_add(s->arena, list);

	name->schema = n > 1 ? tree_string(n, parts, n - 2) : NULL;
	name->name = n > 0 ? tree_string(n, parts, n - 1) : NULL;
	name->at = at;
	return name;
}

static void see_function(struct shape *s, const PgQuery__FuncCall *f)
{
	struct query_name *name =
	    collect(s, &s->q->functions, f->n_funcname, f->funcname, tree_location(&f->base));

	name->nargs = (unsigned)f->n_args;
	name->top = s->depth == 0 && s->item == 0;
	if (s->item && (s->depth == 1 || s->call == &f->base))
		name->item = s->item;
	if (f->over && s->depth == 0)
		shape_refuse(
		    s, &f->base,
		    "a window function looks at other rows, and a row flow sees one row at "
		    "a time; compute the value from the row itself");
}

static bool time_word(const char *text)
{
	static const char *const words[] = { "now", "today", "tomorrow", "yesterday" };

	while (isspace((unsigned char)*text))
		text++;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t len = strlen(words[i]);
		if (strncasecmp(text, words[i], len) == 0 && !isalnum((unsigned char)text[len]))
			return true;
	}
	return false;
}

static bool time_type(const PgQuery__TypeName *t)
{
	static const char *const types[] = { "date", "time", "timetz", "timestamp", "timestamptz" };
	const char *name = t ? tree_string(t->n_names, t->names, t->n_names - 1) : NULL;

	for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
		if (strcmp(name, types[i]) == 0)
			return true;
	return false;
}

static void see_cast(struct shape *s, const PgQuery__TypeCast *c)
{
	const PgQuery__Node *arg = c->arg;

	if (!arg || arg->node_case != PG_QUERY__NODE__NODE_A_CONST ||
	    arg->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
		return;
	s->cast = &arg->a_const->base;
	if (time_type(c->type_name) && time_word(arg->a_const->sval->sval))
		shape_refuse(s, &c->base,
			     "the literal depends on when it is read, and replaying must give the "
			     "same row; write a fixed date or a column of old");
}

/* Without a cast the server gives it the type that stands beside it, which may be a time. */
static void see_literal(struct shape *s, const PgQuery__AConst *k)
{
	if (k->val_case == PG_QUERY__A__CONST__VAL_SVAL && &k->base != s->cast &&
	    time_word(k->sval->sval))
		*name_add(s->arena, &s->q->times) =
		    (struct query_name){ .name = k->sval->sval, .at = tree_location(&k->base) };
}

/* Catalogs change with DDL, temporary tables with the session. */
static bool foreign_schema(const char *schema)
{
	return strncmp(schema, "pg_", 3) == 0 || strcmp(schema, "information_schema") == 0 ||
	       strcmp(schema, "pgcrossfade") == 0;
}

static void see_relation(struct shape *s, const PgQuery__RangeVar *r)
{
	const char *schema = r->schemaname, *name = r->relname;

	if (!*schema && strcmp(name, "old") == 0)
		shape_refuse(s, &r->base,
			     "old is the one row that changed: name it once, in the SELECT's own "
			     "FROM; other rows cannot be looked at");
	else if (!*schema)
		shape_refuse(s, &r->base,
			     arena_printf(s->arena,
					  "relation \"%s\" has no schema; a flow reads old, and "
					  "tables of the target by schema.name",
					  name));
	else if (*r->catalogname || foreign_schema(schema))
		shape_refuse(s, &r->base,
			     arena_printf(s->arena,
					  "\"%s.%s\" is no table of the target that a flow may "
					  "read; join one of your own",
					  schema, name));
	else if (!r->alias && strcmp(name, s->q->row) == 0)
		shape_refuse(s, &r->base,
			     arena_printf(s->arena,
					  "\"%s\" names the changed row; give %s.%s an alias", name,
					  schema, name));
	else
		*name_add(s->arena, &s->q->relations) = (struct query_name){
			.schema = schema, .name = name, .at = tree_location(&r->base)
		};
}

static bool see(const ProtobufCMessage *m, void *context);

/* A sub-SELECT may do what the row flow itself may not: it sees functions only. */
static void see_select(struct shape *s, const PgQuery__SelectStmt *inner)
{
	if (inner->with_clause)
		shape_refuse(s, &inner->with_clause->base,
			     "WITH is not supported in a flow yet; write it as LATERAL (...)");
	else if (inner->into_clause || inner->n_locking_clause)
		shape_refuse(s, &inner->base, "a flow's SELECT only reads; remove INTO or FOR");
	s->depth++;
	tree_walk(&inner->base, see, s);
	s->depth--;
}

static void see_other(struct shape *s, const ProtobufCMessage *m)
{
	if (TREE_IS(m, param_ref))
		shape_refuse(s, m, "there are no parameters in a flow; write the value");
	else if (TREE_IS(m, sqlvalue_function))
		shape_refuse(
		    s, m,
		    "CURRENT_... and LOCALTIME... depend on when and by whom they are run, "
		    "and replaying must give the same row; use a column of old");
	else if (TREE_IS(m, range_table_sample))
		shape_refuse(s, m, "a sample is not the same rows twice; remove TABLESAMPLE");
	else if (TREE_IS(m, a__const))
		see_literal(s, (const PgQuery__AConst *)m);
	else if (TREE_IS(m, collate_clause))
		s->q->collates = true;
}

static bool see(const ProtobufCMessage *m, void *context)
{
	struct shape *s = context;

	if (TREE_IS(m, select_stmt)) {
		see_select(s, (const PgQuery__SelectStmt *)m);
		return false;
	}
	if (TREE_IS(m, func_call)) {
		see_function(s, (const PgQuery__FuncCall *)m);
	} else if (TREE_IS(m, type_cast)) {
		see_cast(s, (const PgQuery__TypeCast *)m);
	} else if (TREE_IS(m, range_var)) {
		see_relation(s, (const PgQuery__RangeVar *)m);
	} else if (TREE_IS(m, type_name)) {
		const PgQuery__TypeName *t = (const PgQuery__TypeName *)m;
		collect(s, &s->q->types, t->n_names, t->names, tree_location(m));
	} else if (TREE_IS(m, a__expr)) {
		const PgQuery__AExpr *x = (const PgQuery__AExpr *)m;
		collect(s, &s->q->operators, x->n_name, x->name, tree_location(m));
	} else if (TREE_IS(m, sub_link)) {
		const PgQuery__SubLink *l = (const PgQuery__SubLink *)m;
		if (l->n_oper_name)
			collect(s, &s->q->operators, l->n_oper_name, l->oper_name, 0);
	} else {
		see_other(s, m);
	}
	return s->ok;
}

static const ProtobufCMessage *first_of(size_t n, PgQuery__Node *const *nodes)
{
	return n ? &nodes[0]->base : NULL;
}

static const ProtobufCMessage *message_of(const PgQuery__Node *n)
{
	return n ? &n->base : NULL;
}

/* DISTINCT alone is a list of one empty node. */
static const ProtobufCMessage *distinct_on(const PgQuery__SelectStmt *s)
{
	bool on = s->n_distinct_clause &&
		  s->distinct_clause[0]->node_case != PG_QUERY__NODE__NODE__NOT_SET;

	return on ? &s->distinct_clause[0]->base : NULL;
}

/* The clauses that would make a row out of several. */
static bool check_clauses(const PgQuery__SelectStmt *s, struct query_fault *fault)
{
	const struct {
		const ProtobufCMessage *present;
		const char *text;
	} rows[] = {
		{ s->with_clause ? &s->with_clause->base : NULL,
		  "WITH is not supported in a flow yet; write it as LATERAL (...)" },
		{ s->into_clause ? &s->into_clause->base : NULL,
		  "INTO creates a table; remove it: the rows go to the flow's target" },
		{ first_of(s->n_values_lists, s->values_lists),
		  "VALUES reads nothing; write a SELECT over old" },
		{ s->larg ? &s->larg->base : NULL,
		  "UNION, INTERSECT and EXCEPT look at several rows; write one flow for each part" },
		{ distinct_on(s),
		  "DISTINCT ON picks one of several rows; a row flow sees one row at a time" },
		{ first_of(s->n_group_clause, s->group_clause),
		  "GROUP BY looks at several rows; a row flow sees one row at a time" },
		{ message_of(s->having_clause),
		  "HAVING looks at several rows; use WHERE: a row flow sees one row at a time" },
		{ first_of(s->n_window_clause, s->window_clause),
		  "WINDOW looks at several rows; a row flow sees one row at a time" },
		{ first_of(s->n_sort_clause, s->sort_clause),
		  "ORDER BY has no meaning in a row flow; remove it" },
		{ message_of(s->limit_count),
		  "LIMIT looks at several rows; use WHERE: a row flow sees one row at a time" },
		{ message_of(s->limit_offset),
		  "OFFSET looks at several rows; use WHERE: a row flow sees one row at a time" },
		{ first_of(s->n_locking_clause, s->locking_clause),
		  "FOR UPDATE and FOR SHARE lock rows; remove it: a flow only reads" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].present)
			return refuse(fault, tree_location(rows[i].present), rows[i].text);
	return true;
}

/* As the server names an output that has no AS. */
static const char *output_name(const PgQuery__ResTarget *t)
{
	const PgQuery__Node *v = t->val;

	if (*t->name)
		return t->name;
	while (v->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
		v = v->type_cast->arg;
	if (v->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
		return NULL;
	return tree_string(v->column_ref->n_fields, v->column_ref->fields,
			   v->column_ref->n_fields - 1);
}

static bool is_star(const PgQuery__Node *v)
{
	const PgQuery__ColumnRef *c =
	    v->node_case == PG_QUERY__NODE__NODE_COLUMN_REF ? v->column_ref : NULL;

	return c && c->fields[c->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

static bool read_output(struct arena *a, struct query *q, const PgQuery__ResTarget *t,
			struct query_fault *fault)
{
	struct query_output *o = &q->outputs[q->noutputs];

	o->at = tree_location(&t->base);
	o->name = output_name(t);
	if (is_star(t->val))
		return refuse(fault, o->at,
			      "name the columns instead of *: an output list must not change when "
			      "the table does");
	if (!o->name)
		return refuse(fault, o->at,
			      "the output has no name; add AS and the target column's name");
	if (query_output_find(q, o->name) < q->noutputs)
		return refuse(
		    fault, o->at,
		    arena_printf(a, "output \"%s\" stands twice; remove or rename one", o->name));
	q->noutputs++;
	return true;
}

static bool read_outputs(struct arena *a, struct query *q, struct query_fault *fault)
{
	const PgQuery__SelectStmt *s = q->tree->select;

	q->outputs = arena_array(a, s->n_target_list, sizeof *q->outputs);
	for (size_t i = 0; i < s->n_target_list; i++)
		if (!read_output(a, q, s->target_list[i]->res_target, fault))
			return false;
	if (q->noutputs == 0)
		return refuse(fault, 0, "the SELECT has no outputs; name the target's columns");
	return true;
}

static void see_node(struct shape *s, const ProtobufCMessage *m)
{
	if (s->ok && see(m, s))
		tree_walk(m, see, s);
}

static const ProtobufCMessage *sole_call(const PgQuery__Node *n)
{
	const PgQuery__RangeFunction *f =
	    n->node_case == PG_QUERY__NODE__NODE_RANGE_FUNCTION ? n->range_function : NULL;

	if (!f || f->n_functions != 1 || f->functions[0]->list->n_items == 0)
		return NULL;
	const PgQuery__Node *call = f->functions[0]->list->items[0];
	return call->node_case == PG_QUERY__NODE__NODE_FUNC_CALL ? &call->func_call->base : NULL;
}

static void see_items(struct shape *s)
{
	for (unsigned i = 0; i < s->q->nitems; i++) {
		const struct tree_item *item = &s->q->tree->items[i];
		s->item = i + 1;
		s->call = sole_call(item->node);
		see_node(s, &item->node->base);
		s->call = NULL;
		if (item->join && item->join->quals)
			see_node(s, &item->join->quals->base);
	}
	s->item = 0;
}

static bool see_parts(struct arena *a, struct query *q, struct query_fault *fault)
{
	const PgQuery__SelectStmt *select = q->tree->select;
	struct shape s = { .arena = a, .q = q, .fault = fault, .ok = true };

	see_items(&s);
	for (size_t i = 0; i < select->n_target_list; i++)
		see_node(&s, &select->target_list[i]->base);
	if (select->where_clause)
		see_node(&s, &select->where_clause->base);
	return s.ok;
}

/* One statement, a SELECT: its own text without semicolon and what follows it. */
static bool take_statement(struct arena *a, const char *text, const PgQuery__ParseResult *root,
			   struct query *q, struct query_fault *fault)
{
	if (root->n_stmts == 0)
		return refuse(fault, 0, "there is no statement; write a SELECT over old");
	const PgQuery__RawStmt *raw = root->stmts[0];
	size_t start = (size_t)raw->stmt_location;
	size_t len = raw->stmt_len ? (size_t)raw->stmt_len : strlen(text + start);
	if (root->n_stmts > 1) {
		size_t next = (size_t)root->stmts[1]->stmt_location;
		next += strspn(text + next, " \t\r\n");
		return refuse(fault, next, "a second statement starts here; a flow is one SELECT");
	}
	if (raw->stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
		return refuse(fault, start + strspn(text + start, " \t\r\n"),
			      "not a SELECT; a row flow is a SELECT over old");
	q->text = arena_strndup(a, text + start, len);
	q->tree->select = raw->stmt->select_stmt;
	return true;
}

bool query_parse(struct arena *a, const char *text, struct query **out, struct query_fault *fault)
{
	struct query *q = arena_zalloc(a, sizeof *q);
	PgQuery__ParseResult *root = NULL;

	*out = q;
	*fault = (struct query_fault){ 0, NULL };
	q->tree = arena_zalloc(a, sizeof *q->tree);
	if (!tree_parse(a, text, &root, fault) || !take_statement(a, text, root, q, fault) ||
	    !check_clauses(q->tree->select, fault) || !read_outputs(a, q, fault) ||
	    !from_take(a, q, fault) || !see_parts(a, q, fault))
		return false;
	q->distinct = q->tree->select->n_distinct_clause > 0;
	q->where = q->filtered = q->tree->select->where_clause != NULL;
	for (unsigned i = 0; i < q->nitems; i++)
		q->filtered |= !q->items[i].left;
	return true;
}

unsigned query_output_find(const struct query *q, const char *name)
{
	unsigned i = 0;

	while (i < q->noutputs && strcmp(q->outputs[i].name, name) != 0)
		i++;
	return i;
}
