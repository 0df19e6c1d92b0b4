/*
 * pg/request.h: what a command asks of the running service, through the ledger.
 */
#ifndef PGCROSSFADE_PG_REQUEST_H
#define PGCROSSFADE_PG_REQUEST_H

#include "core/arena.h"
#include "pg/conn.h"

struct request {
	int64_t id;
	const char *kind;     /* cutover, retry, complete, abort */
	const char *argument; /* "" for none */
	const char *state;    /* waiting, running, withdrawn, done, failed */
	const char *message;  /* the outcome, for a person */
};

bool request_post(struct pg *target, const char *migration, const char *kind, const char *argument,
		  int64_t *id, struct err *e);

struct request_wait {
	const char *kind, *state;
	double seconds; /* since it was asked for */
};

/* Those that have no outcome yet. */
bool request_pending(struct pg *target, const char *migration, struct arena *a,
		     struct request_wait **out, unsigned *count, struct err *e);

/* The oldest waiting one, now running. *out NULL: none. */
bool request_take(struct pg *target, const char *migration, struct arena *a, struct request **out,
		  struct err *e);
bool request_finish(struct pg *target, int64_t id, bool done, const char *message, struct err *e);

/* Takes back one that nobody has taken yet, so that no later run does it unawares. */
bool request_withdraw(struct pg *target, int64_t id, bool *withdrawn, struct err *e);

/*
 * Asks the run to leave one that it has taken: it may be too late. The run looks with
 * request_wanted() and answers in any case.
 */
bool request_recall(struct pg *target, int64_t id, struct err *e);
bool request_wanted(struct pg *target, int64_t id, bool *wanted, struct err *e);

/* Has a run answered all that it took? */
bool request_settled(struct pg *target, const char *migration, const char *kind, bool *settled,
		     struct err *e);

/* Those a run has taken and not answered get this outcome. kind NULL: all of them. */
bool request_settle(struct pg *target, const char *migration, const char *kind, bool done,
		    const char *message, struct err *e);
bool request_load(struct pg *target, int64_t id, struct arena *a, struct request **out,
		  struct err *e);

#endif
