/*
 * transform/query.h: what a row flow's SELECT is and what it reads.
 *
 * A row flow makes rows out of one source row, and of target tables that it joins: the
 * same text runs over a chunk of the table and over a batch of changes and must give the
 * same rows. So `old` stands in FROM once, first, and whatever looks across source rows is
 * refused, but for a DISTINCT that only says that a row is wanted once.
 *
 * PostgreSQL's own parser (libpg_query) reads the text. Column names are resolved here
 * against old's columns; where a name may belong to a function in FROM it is left to the
 * server, which judges every statement when it is prepared.
 *
 * Ownership  everything lives in the arena given to query_parse.
 * Errors     false with the fault set: where in the text, and what; what to do.
 */
#ifndef PGCROSSFADE_TRANSFORM_QUERY_H
#define PGCROSSFADE_TRANSFORM_QUERY_H

#include "core/arena.h"

struct query_fault {
	size_t at; /* byte in the SELECT's text */
	const char *text;
};

/* A function, operator or type that the text names. */
struct query_name {
	const char *schema; /* NULL: found by search_path */
	const char *name;
	size_t at;
	unsigned nargs; /* functions */
	bool top;       /* functions: in the row itself, not in a sub-SELECT or in FROM */
	unsigned item;  /* functions: it makes the rows of that item of FROM, from 1; 0: none */
	bool of_old;    /* functions in a sub-SELECT: works on nothing but old's columns */
};

struct query_names {
	unsigned count;
	struct query_name *names;
};

/* A set of old's columns. */
struct query_reads {
	bool *column;   /* by index; what the items read is in it, too */
	bool *item;     /* by index: items of FROM, and those that they rest on */
	bool elsewhere; /* reads something else than old */
};

/* What stands in FROM beside old, in its order. */
struct query_item {
	const char *name; /* NULL: it has none */
	size_t at;
	bool relation;            /* a table of the target */
	bool left;                /* right side of a LEFT JOIN: takes no row away */
	bool many;                /* may give several rows; of a function the server must say so */
	bool groups;              /* an aggregate does not make it one row */
	bool limited;             /* LIMIT 1: one row whatever its functions return */
	struct query_reads reads; /* its arguments and its ON */
};

struct query_output {
	const char *name;
	size_t at;
	struct query_reads reads;
	bool plain;           /* a column of old, perhaps cast */
	unsigned column;      /* plain: which */
	const char *constant; /* an integer, or a string after a ', not cast. NULL: neither */
};

struct query {
	const char *text; /* the SELECT alone; a comment may end it, so a newline must follow */
	const char *row;  /* what the text calls old */
	unsigned noutputs;
	struct query_output *outputs;
	bool distinct; /* SELECT DISTINCT */
	bool where;
	bool filtered; /* a source row may give no row */
	unsigned nitems;
	struct query_item *items;
	struct query_names functions, operators, types;
	struct query_names relations; /* of the target, wherever they stand */
	struct query_names times;     /* literals such as 'now' whose type is left to the server */
	bool collates;                /* names a collation */
	/* After query_resolve: */
	unsigned ncolumns;
	struct query_reads filter; /* WHERE */
	struct query_reads from;   /* items of FROM that decide how many rows there are */
	bool *reads;               /* all of it */
	struct query_tree *tree;
};

/* Parses text and checks its shape. */
bool query_parse(struct arena *a, const char *text, struct query **out, struct query_fault *fault);

/* Finds out which of old's columns each part reads. */
bool query_resolve(struct arena *a, struct query *q, unsigned ncolumns, const char *const *columns,
		   struct query_fault *fault);

/*
 * The same SELECT with only these outputs; filtered: with its WHERE and all of its FROM,
 * else only with the items of FROM that the outputs rest on, and with a WHERE that reads no
 * more than they do: what it leaves out they may not be made for. *reads gets the columns that
 * it reads. NULL when libpg_query cannot write it.
 */
const char *query_narrow(struct arena *a, const struct query *q, unsigned noutputs,
			 const unsigned *outputs, bool filtered, struct query_reads *reads);

/* Does that WHERE read no more than outputs that read this? */
bool query_where_stays(const struct query *q, const struct query_reads *reads);

/* Index of that output, or q->noutputs. */
unsigned query_output_find(const struct query *q, const char *name);

#endif
