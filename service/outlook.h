/*
 * service/outlook.h: what `run` and then `cutover` would do, in order, without doing it.
 *
 * Everything here is decided by the functions that `run` itself calls, and only shown:
 * the compiled plan, the cut into chunks, the definitions that are put away, the next
 * value of a sequence, the text of each statement.
 *
 * Ownership  everything lives in the session's arena.
 * Units      bytes, seconds; negative: unknown.
 */
#ifndef PGCROSSFADE_SERVICE_OUTLOOK_H
#define PGCROSSFADE_SERVICE_OUTLOOK_H

#include "pg/sequence.h"
#include "service/estimate.h"
#include "service/session.h"
#include "snapshot/definitions.h"

struct outlook_step {
	const char *phase; /* prepare, copy, stream, cutover, switched */
	const char *where; /* source, target, both */
	const char *what;
	const char *lock; /* on whose tables, how long; NULL: none */
	unsigned nsql;
	const char **sql;
};

struct outlook {
	const struct session *session;
	const char *known_phase; /* the ledger has the migration already; NULL: it begins */

	struct estimate copy;

	unsigned ndefinitions;
	struct definition *definitions;
	struct sequence_step *sequences; /* one a sequence of the plan */

	double wal_rate; /* bytes a second, over the last second */

	unsigned nsteps;
	struct outlook_step *steps;
};

/* After session_compile. Makes both sessions read-only. */
bool outlook_make(struct session *s, struct outlook *out, struct err *e);

#endif
