/*
 * core/plan.h: a migration, compiled: plain data that copy, judge and apply run on.
 *
 * transform/ makes it from the mapping file and both catalogs; it holds every SQL
 * text the engine sends for a flow, so no other room puts SQL together. It does not
 * know a direction: source, target, tables, flows.
 *
 * Ownership  everything lives in the arena of the plan's maker.
 */
#ifndef PGCROSSFADE_CORE_PLAN_H
#define PGCROSSFADE_CORE_PLAN_H

#include "core/arena.h"

#include <stdint.h>

/* How a statement's array parameter travels. */
enum wire {
	WIRE_INT2,
	WIRE_INT4,
	WIRE_INT8,
	WIRE_NUMERIC,
	WIRE_DATE,
	WIRE_TIMESTAMP,
	WIRE_TIMESTAMPTZ,
	WIRE_UUID,
	WIRE_TEXT, /* any type but those above: the server reads it */
	WIRE_BOOL, /* PARAM_KEEP */
	WIRE_COUNT,
};

enum param_kind {
	PARAM_VALUE, /* the column's value */
	PARAM_KEEP,  /* WIRE_BOOL: true where the column is VALUE_UNCHANGED */
};

struct param {
	enum param_kind kind;
	unsigned column; /* index into table_plan.columns */
	enum wire wire;
};

/*
 * One SQL text over unnest(arrays): parameter i+1 is the array params[i]. For a single row there
 * may be a form whose parameters are the values themselves: a third less work for the server.
 */
struct statement {
	const char *name;           /* unique in the plan; the prepared statement's name */
	const char *sql;            /* NULL: the flow does not need it */
	const char *one_name, *one; /* for a single row; NULL: arrays of one */
	unsigned nparams;
	const struct param *params;
};

/* What the texts of two equal values have in common. DECIMAL: all but zeros at the end. */
enum sameness { SAME_TEXT, SAME_DECIMAL, SAME_UNKNOWN };

struct plan_column {
	const char *name;
	const char *type; /* format_type() without modifier: values are never cut to one */
	uint32_t type_oid;
	enum sameness sameness;
	bool not_null;
	bool identity;  /* in the replica identity */
	bool toastable; /* may arrive VALUE_UNCHANGED with no old value beside it */
	bool varlena;   /* so it may if the identity was, or the column gets, another */
	bool read;      /* some flow of the table reads it */
};

/*
 * A chunk's raw rows in a temporary table of the target, read by flows that join tables
 * there; filled under the snapshot, in one database too: what it joins is newer. fill: up
 * to and after the predicate's place; in: COPY FROM STDIN, NULL in one database. The flows
 * that read it have stage, and their stage_insert reads it.
 */
struct stage_plan {
	const char *create; /* NULL: no flow needs it */
	const char *fill[2], *in, *clear;
};

/*
 * What a flow does with one source row, or with a batch of them. The rows that a source row
 * made are found by the flow's key, or, where it made several, by its owner columns:
 *   insert   params: the new row. Plain INSERT: an existing key is an error.
 *   upsert   params: the new row. ON CONFLICT on the flow's key only.
 *   renew    params: the new row. What an upsert does to rows that are at the target, at less
 *            cost; one that is not there is an error (22P02). NULL sql where the filter may
 *            have kept a row away, say.
 *   update   params: the new row and PARAM_KEEP flags. Columns that read a kept one
 *            stay as they are. NULL sql when no column read is toastable. A row that is
 *            not at the target is an error: what it keeps is nowhere.
 *   remove   params: key_reads of the old row. The flow's filter is not looked at.
 *            Without key: params are the whole old row and one equal row goes for
 *            each (one-row arrays only).
 *   leave    params: the new row. Removes rows that the filter no longer lets in.
 *            NULL sql without filter.
 *   clear    no params: every row of this flow. For TRUNCATE; see sole.
 *   clear_copied  params: an LSN. Those of chunks copied under an LSN up to it. NULL sql where a
 *            target row does not tell its chunk.
 *   move     params: old key_reads, then the new row with keeps (one-row arrays only):
 *            the key changes in place, kept columns stay; where the filter does not let
 *            the new row in, the old one goes. NULL sql unless toastable.
 *            The first nkey_reads params are read from the old row.
 * A lookup flow only adds: its upsert leaves alone what is there, and it has no other
 * statement but insert, which is the same.
 */
struct flow_plan {
	unsigned no;             /* place in the file, from 0; names the flow in the ledger */
	const char *target;      /* quoted, qualified */
	const char *target_name; /* schema.name for messages */
	const char *select;      /* the mapping's text, for messages */
	bool keyed;              /* its rows are found: key_reads */
	bool filtered;           /* a source row may bring fewer rows than it did: leave */
	bool owned;            /* several rows of one; update: all that is read but kept has come */
	bool lookup;           /* rows are only added, before those of other flows */
	bool unfilled;         /* its rows have columns of their own, which it does not fill */
	bool moves;            /* a moved key is an OP_MOVE, for the sake of such columns */
	bool sole;             /* clear takes no row of another flow */
	unsigned rank;         /* parents before children by the target's foreign keys */
	const char *key_array; /* the key columns as text[] input: {"a","b"}; NULL: no key */
	unsigned nkey_reads;   /* source columns that the key's expressions read */
	const unsigned *key_reads;
	unsigned nreads; /* source columns that the SELECT reads at all */
	const unsigned *reads;
	/* Source columns by which a row that is refused is known: the table's key where that is
	 * unique, else all that the SELECT reads, and equal rows stand for each other. */
	unsigned nidentity;
	const unsigned *identity;
	/* What is kept of a refused row, and SELECT of it up to and after a chunk's predicate. */
	unsigned nstored;
	const unsigned *stored;
	const char *stored_select[2];
	struct statement insert, upsert, renew, update, remove, leave, clear, clear_copied, move;
	/* Copy of a chunk; {range} below is table_plan.chunk's predicate.
	 * copy_out: COPY (...) TO STDOUT up to and after the predicate's place.
	 * copy_in: COPY ... FROM STDIN at the target (of the SELECT's output, or of raw rows
	 * into the temporary table that stage_create makes and stage_insert reads).
	 * In one database: insert_select up to and after the predicate's place.
	 * The predicate is chunk_predicate()'s, pg/predicate.h. */
	const char *copy_why; /* why the SELECT runs where it does while copying */
	const char *copy_out[2], *copy_in;
	const char *stage_create, *stage_insert; /* NULL: the SELECT runs at the source */
	const char *insert_select[2];            /* NULL: two databases */
	const struct stage_plan *stage; /* its table's, in place of all these; NULL: not staged */
};

/* How a table is cut into chunks. */
struct chunk_plan {
	unsigned nkey;       /* 0: by ctid, copied whole in one generation */
	const unsigned *key; /* columns, in index order */
	/* sample: bounds as text arrays out of a table sample; $1 percent, $2 chunks.
	 * judge: (ordinality, lg) of the chunk each key lies in; see snapshot/judge.h */
	const char *sample;
	struct statement judge;
};

/* A partition that holds rows. */
struct plan_part {
	const char *schema, *name;
};

struct table_plan {
	const char *schema, *name;
	const char *label;  /* schema.name for messages, logs and ledger rows */
	const char *quoted; /* "schema"."name" */
	const char *from;   /* as FROM and LOCK take it: ONLY it, or all of a partitioned one */
	bool partitioned;   /* its changes come under the names of its parts: */
	unsigned nparts;
	const struct plan_part *parts;
	uint32_t oid;
	char replica_identity; /* d, i, f, n as pg_class.relreplident */
	bool insert_only;      /* only its INSERTs are followed: remove and the like are NULL */
	unsigned ncolumns;
	const struct plan_column *columns;
	unsigned nkey; /* columns by which changes of one row are known; 0: keyless */
	const unsigned *key;
	bool key_unique; /* no two rows have one key */
	struct chunk_plan chunk;
	struct stage_plan stage;
	unsigned nflows;
	struct flow_plan *flows;
};

/* A sequence of the target that must be past the old one before the switch. */
struct sequence_plan {
	const char *target_sequence; /* quoted, qualified */
	const char *target_column;   /* quoted column and table, for max() */
	const char *target_table;
	const char *source_sequence; /* quoted; NULL: only the target's max() counts */
};

struct plan {
	struct arena *arena;
	const char *migration;
	bool one_database; /* source and target are the same database */
	uint64_t rejects;  /* rows that may be put aside instead of stopping the run */
	unsigned ntables;
	struct table_plan *tables;
	unsigned nsequences;
	const struct sequence_plan *sequences;
	unsigned max_rank; /* highest flow_plan.rank */
};

/*
 * What the server's error says when values that were not sent are nowhere to be had: that is
 * the stream's lack and no fault of the row.
 */
#define PLAN_VALUES_MISSING "came without their long values"

/* The table of that name, or that has a part of that name, or NULL. */
struct table_plan *plan_table(const struct plan *p, const char *schema, const char *name);

/* One more part of a partitioned table; the names are copied. */
void plan_add_part(struct plan *p, struct table_plan *t, const char *schema, const char *name);

#endif
