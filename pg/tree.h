/*
 * pg/tree.h: partitioned tables with all their partitions, and other tables with their children,
 * asked without waiting for anybody.
 *
 * pg_partition_tree() takes ACCESS SHARE on the table, and so waits for DDL that somebody
 * left open. What is asked while a stream runs, or in order to name who holds a lock, must not.
 */
#ifndef PGCROSSFADE_PG_TREE_H
#define PGCROSSFADE_PG_TREE_H

#include "core/arena.h"
#include "pg/conn.h"

/* SQL: relid of each of these tables and of their partitions; tables: literals, commas between. */
#define PG_TREE(tables)                                                                            \
	"(WITH RECURSIVE tree (relid) AS ("                                                        \
	"  SELECT r::oid FROM unnest(ARRAY[" tables "]::regclass[]) r UNION"                       \
	"  SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.relid"             \
	"    JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition)"                          \
	" SELECT relid FROM tree)"

struct tree_child {
	const char *name, *parent;
};

/* A child that inherits from one of these tables (a text[]) and is no partition; *out NULL: none. */
bool tree_find_child(struct pg *source, const char *tables, struct arena *a,
		     struct tree_child **out, struct err *e);

#endif
