/*
 * transform/flow.h: one flow between the catalogs: what compile.c fills in step by step
 * and the SQL files write out.
 *
 * Ownership  everything lives in the compile's arena.
 */
#ifndef PGCROSSFADE_TRANSFORM_FLOW_H
#define PGCROSSFADE_TRANSFORM_FLOW_H

#include "core/plan.h"
#include "transform/catalog.h"
#include "transform/mapping.h"
#include "transform/query.h"

struct flow {
	const struct flow_def *def;
	const char *subject; /* "flow public.a -> app.b" */
	unsigned no;         /* place in the file, from 0 */
	struct query *query;
	const struct catalog_table *from, *to;
	const unsigned *columns; /* of each output: its column of to */
	const unsigned *key;     /* of each key column: its output */
	const unsigned *found;   /* outputs by which an old row's rows are found: owner, or key */
	unsigned nfound;         /* 0: not at all, or never looked for (lookup) */
	bool owned;              /* an old row makes several rows, known by owner */
	bool lookup;             /* SELECT DISTINCT: rows are only added */
	bool joins;              /* reads tables of the target */
	uint32_t *relations;     /* their oids, in the order of query->relations */
	bool generates;          /* the target has a sequence that no output fills */
	bool unfilled;           /* the target has columns that no output fills */
	bool moves;              /* a row whose key moves is moved, for their sake */
	const char *key_select;  /* the SELECT with the found outputs only, no filter */
	const char *row_select;  /* with the filter; owned: with the key's outputs, too */
	const char *stay_select; /* owned: what does not read the kept column, no filter */
	unsigned nstays;         /* outputs of stay_select: found first, then: */
	const unsigned *stays;
	struct query_reads key_reads, row_reads, stay_reads;
	const char *copy_why;    /* why the copy's SELECT runs where it does */
	bool key_away;           /* the target's unique index comes back after the copy */
	bool whole;              /* it needs FULL, with which long values always come */
	bool keeps;              /* reads a column that may arrive VALUE_UNCHANGED */
	bool at_source;          /* the copy's SELECT may run at the source */
	const bool *copy_casts;  /* of each output: the copy casts it to the target's type */
	const char *const *ways; /* of each column of from: the casts a text of it goes by */
	bool copy_binary;        /* all that the copy carries has the same binary form everywhere */
	bool one_row;            /* statements of the stream are made in their form for one row */
	struct flow_plan *plan;
	struct table_plan *table;
};

/* May this column of from arrive VALUE_UNCHANGED with no old value beside it? */
bool flow_keeps_column(const struct flow *f, unsigned column);

/* The column of that kind that the output reads, or from->ncolumns. */
unsigned flow_kept_column(const struct flow *f, unsigned output);

/* Is the output one of those by which the rows are found? */
bool flow_is_found(const struct flow *f, unsigned output);

/* What these outputs are called in the file: "owner", or "key". */
const char *flow_found_word(const struct flow *f);
struct place flow_found_place(const struct flow *f);

/* Is the output part of the key? */
bool flow_in_key(const struct flow *f, unsigned output);

/* Is part of the key GENERATED ALWAYS, so that an UPDATE cannot set it? */
bool flow_key_fixed(const struct flow *f);

/* The target column of an output. */
const struct catalog_column *flow_target(const struct flow *f, unsigned output);

#endif
