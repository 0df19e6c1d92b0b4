/*
 * transform/query_tree.h: PostgreSQL's parse tree of a SELECT, out of and back into text.
 *
 * Only the query_*.c files include this: the tree's types are libpg_query's.
 *
 * Ownership  the tree lives in the arena.
 * Source     libpg_query, pg_query.proto: a location is a byte offset in the text.
 */
#ifndef PGCROSSFADE_TRANSFORM_QUERY_TREE_H
#define PGCROSSFADE_TRANSFORM_QUERY_TREE_H

#include "core/arena.h"
#include "transform/query.h"

#include <pg_query.pb-c.h>

/* Where an item of FROM stands. */
struct tree_item {
	PgQuery__Node *node;
	const PgQuery__JoinExpr *join; /* whose right side it is, or NULL */
	unsigned first; /* it rests on the items from this one on: its place between commas */
};

struct query_tree {
	PgQuery__SelectStmt *select;
	PgQuery__RangeVar *old;
	struct tree_item *items; /* query->nitems of them */
};

/* Takes FROM apart into old and the items; false with the fault set. */
bool from_take(struct arena *a, struct query *q, struct query_fault *fault);

/* FROM with old and those items alone. */
void from_prune(struct arena *a, const struct query *q, const bool *keep, PgQuery__SelectStmt *s);

/* Parses text; false with the fault set where it does not parse or is no sane size. */
bool tree_parse(struct arena *a, const char *text, PgQuery__ParseResult **out,
		struct query_fault *fault);

/* The SELECT as text; NULL where that text would not parse to the same tree again. */
const char *tree_deparse(struct arena *a, PgQuery__SelectStmt *select);

/* Calls visit for every message below m, parents first, in the text's order of clauses.
 * Where visit returns false, its children are left out. */
typedef bool tree_visit(const ProtobufCMessage *m, void *context);
void tree_walk(const ProtobufCMessage *m, tree_visit *visit, void *context);

/* Where m stands in the text: the least location in and below it; 0 when there is none. */
size_t tree_location(const ProtobufCMessage *m);

/* The String at place i of a list of nodes, or NULL. */
const char *tree_string(size_t count, PgQuery__Node *const *nodes, size_t i);

#define TREE_IS(message, type) ((message)->descriptor == &pg_query__##type##__descriptor)

#endif
