/*
 * pg/pipe.h: many statements in one round trip (libpq pipeline mode).
 *
 * Use        pipe_begin; pipe_send*, pipe_send*, ...; pipe_finish. After a failure the
 *            server skips the rest up to the end; pipe_finish says which one failed.
 *            With pipe_end before it another pipe may begin meanwhile; they are finished in
 *            the order in which they began. The connection is out of pipeline mode when the
 *            last pipe_finish returns.
 * Ownership  the pipe borrows the connection and copies nothing: what is sent is sent.
 * Errors     as pg/conn.h.
 */
#ifndef PGCROSSFADE_PG_PIPE_H
#define PGCROSSFADE_PG_PIPE_H

#include "core/plan.h"
#include "pg/conn.h"

struct pipe {
	struct pg *pg;
	unsigned sent; /* statements so far */
	bool ended;
};

enum { PIPE_NONE = -1 };

bool pipe_begin(struct pipe *p, struct pg *pg, struct err *e);
bool pipe_send(struct pipe *p, const char *sql, struct err *e);

/* params[i]: a whole binary array, as pg/array.h makes it */
bool pipe_send_arrays(struct pipe *p, const struct statement *s, const struct bytes *params,
		      struct err *e);
/* The form for one row. params[i]: array_only() of what pipe_send_arrays would send */
bool pipe_send_one(struct pipe *p, const struct statement *s, const struct bytes *params,
		   struct err *e);

/* sql with one parameter: a binary text[], as pg/array.h makes it */
bool pipe_send_texts(struct pipe *p, const char *sql, struct bytes texts, struct err *e);

/* text parameters to a statement prepared before */
bool pipe_send_prepared(struct pipe *p, const char *name, unsigned nparams,
			const char *const *params, struct err *e);

/* Nothing more comes: the server answers, and nobody waits for it yet. */
bool pipe_end(struct pipe *p, struct err *e);

/*
 * Waits for all of them. *failed: index of the statement that failed, in the order
 * sent, or PIPE_NONE (also when the connection was lost). affected, where not NULL,
 * has room for p->sent counts.
 */
bool pipe_finish(struct pipe *p, int *failed, uint64_t *affected, struct err *e);

/* Prepares a statement whose parameters are arrays; its form for one row. Not inside a pipe. */
bool pg_prepare_arrays(struct pg *pg, const struct statement *s, struct err *e);
bool pg_prepare_one(struct pg *pg, const struct statement *s, struct err *e);
/* Runs it by itself and waits. Not inside a pipe. */
bool pg_query_arrays(struct pg *pg, const struct statement *s, const struct bytes *params,
		     struct pg_result **out, struct err *e);
bool pg_prepare(struct pg *pg, const char *name, const char *sql, struct err *e);

#endif
