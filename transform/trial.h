/*
 * transform/trial.h: a flow's SELECT over the rows that are there, without writing one.
 *
 * Rows are read from the source in blocks that lie all over the table, so that what was
 * reached when the time is up is a fair sample, and bound to the SELECT as the stream binds
 * them. It runs at the target, where its types and functions are, with each output cast to
 * its column. A batch that the server refuses is halved until the rows stand alone.
 *
 * Nothing is created; both sessions are read-only meanwhile.
 *
 * Ownership  results live in the arena.
 * Errors     false: a server could not be asked. What is wrong with rows is a result.
 */
#ifndef PGCROSSFADE_TRANSFORM_TRIAL_H
#define PGCROSSFADE_TRANSFORM_TRIAL_H

#include "transform/flow.h"

struct err;
struct pg;

/* What the target would refuse though every cast succeeds. True: refused. */
struct trial_test {
	const char *raw;  /* over q, the SELECT's row; or NULL and: */
	const char *cast; /* over the row as the target would store it */
	const char *what; /* 'the row has NULL in "a", which ...' */
	uint64_t count;
	const char *example; /* "(id=7)" of the first; NULL: none */
};

/* Rows that one kind of error refuses. */
struct trial_error {
	char sqlstate[6];
	uint64_t count;
	const char *text, *example;
};

enum { TRIAL_ERRORS = 8 }; /* kinds kept apart; the rest counts with the last */

struct trial {
	const struct flow *flow;
	unsigned ntests;
	struct trial_test *tests;
	unsigned nerrors;
	struct trial_error errors[TRIAL_ERRORS];
	uint64_t rows, blocks, all_blocks; /* looked at; of the table */
};

/* Does it compute what a row is found by for rows, too, that the filter leaves out? */
static inline bool trial_finds(const struct flow *f)
{
	return f->query->where && f->nfound && !f->def->insert_only &&
	       !query_where_stays(f->query, &f->key_reads);
}

bool trial_run(struct trial *t, struct pg *source, struct pg *target, struct arena *a,
	       int64_t deadline_ms, struct err *e);

#endif
