/*
 * pg/ledger_reject.h: rows that the SELECT or the target refused, put aside in the ledger.
 *
 * One row of pgcrossfade.reject is one source row that one flow could not bring to its
 * target. It is written in the same target transaction as everything around it.
 *
 *   key, row   jsonb, column to text; JSON's null is NULL, and a column that is absent
 *              was not sent (only where the target holds an older version with it)
 *   held       the source columns under which the target holds an older version of the
 *              row, or NULL when it holds none
 *
 * Shape      rows are in plan order, a value for each column of the table.
 * Ownership  what is read lives in the arena given.
 */
#ifndef PGCROSSFADE_PG_LEDGER_REJECT_H
#define PGCROSSFADE_PG_LEDGER_REJECT_H

#include "core/change.h"
#include "core/plan.h"
#include "pg/conn.h"

struct reject {
	int64_t id; /* in the order they were refused; 0: not in the ledger yet */
	unsigned flow;
	const struct value *row;
	const struct value *held; /* NULL: none */
	lsn_t lsn;                /* of the transaction's commit, or of the copy's snapshot */
	int64_t sequence;         /* in the transaction; -1: from the copy */
	int64_t chunk;            /* -1: from the stream */
	const char *sqlstate, *error;
};

/* What the flow needs of an older version to find it at the target. */
unsigned reject_held_columns(const struct flow_plan *flow, const unsigned **columns);

bool ledger_reject_add(struct pg *target, const char *migration, const struct table_plan *table,
		       const struct flow_plan *flow, const struct reject *r, struct err *e);
bool ledger_reject_remove(struct pg *target, int64_t id, struct err *e);

/* One more try, and what came of it. */
bool ledger_reject_tried(struct pg *target, int64_t id, const char *sqlstate, const char *error,
			 struct err *e);

/* The target has nothing of the row any more. */
bool ledger_reject_not_held(struct pg *target, int64_t id, struct err *e);

/* All of a table's, at a TRUNCATE or when its copy starts over. *removed may be NULL. */
bool ledger_rejects_clear(struct pg *target, const char *migration, const char *source,
			  uint64_t *removed, struct err *e);

/* --- reading --- */

struct reject_known {
	const char *source; /* table_plan.label */
	uint64_t hash;      /* values_hash() of the flow's identity */
};

bool ledger_rejects_known(struct pg *target, const char *migration, struct arena *a,
			  struct reject_known **out, unsigned *count, struct err *e);

/* A row as one flow sees it. */
struct reject_of {
	const struct table_plan *table;
	const struct flow_plan *flow;
	const struct value *row;
};

/* The first that was refused of the flow's rejects with row's identity. *out NULL: none. */
bool ledger_reject_find(struct pg *target, const char *migration, const struct reject_of *of,
			struct arena *a, struct reject **out, struct err *e);

/* The first one after that id; target NULL: of any flow. *out NULL: none. */
bool ledger_reject_after(struct pg *target, const struct plan *plan, int64_t id,
			 const char *flow_target, struct arena *a, struct reject **out,
			 struct err *e);

/* The highest id; 0: there are none. */
bool ledger_reject_last(struct pg *target, int64_t *id, struct err *e);

/* The table and flow of that number; false: the plan has none. */
bool reject_flow(const struct plan *plan, unsigned no, const struct table_plan **table,
		 const struct flow_plan **flow);

bool ledger_reject_total(struct pg *target, const char *migration, unsigned *count, struct err *e);

/* --- for people, without the rows --- */

struct reject_count {
	const char *source, *target;
	uint64_t count;
	const char *example; /* key and error of the last one tried */
};

bool ledger_reject_counts(struct pg *target, const char *migration, struct arena *a,
			  struct reject_count **out, unsigned *count, struct err *e);

struct reject_line {
	const char *source, *target, *key, *place, *sqlstate, *error, *rejected_at;
	uint64_t tries;
	bool held;
};

bool ledger_reject_lines(struct pg *target, const char *migration, const char *flow_target,
			 struct arena *a, struct reject_line **out, unsigned *count, struct err *e);

#endif
