/*
 * service/session.h: a migration with its connections and names.
 *
 * Ownership  the session borrows the migration and owns everything else.
 */
#ifndef PGCROSSFADE_SERVICE_SESSION_H
#define PGCROSSFADE_SERVICE_SESSION_H

#include "core/plan.h"
#include "pg/altered.h"
#include "pg/conn.h"
#include "pg/continuity.h"
#include "pg/ledger.h"
#include "pg/publication.h"
#include "transform/compile.h"
#include "transform/mapping.h"

struct session {
	const struct migration *migration;
	struct arena arena;
	struct pg_options source_options, target_options;
	struct pg *source; /* control: catalog, publication, barrier, blockers */
	struct pg *target; /* control: ledger, requests; holds the lock of `run` */
	const char *slot, *publication, *insert_publication;
	struct plan *plan;               /* NULL until session_compile; so is what follows */
	struct publication published[2]; /* what is to be: of all changes, and of inserts only */
	struct altered_columns reads;    /* that flows read */
	const char *childless;           /* old tables that may have no children, a text[] */
	struct continuity continuity;    /* slot NULL until session_stand */
};

/* The names alone, no connection. session_close ends it. */
void session_name(const struct migration *m, struct session *s);

/* Connects to both. */
bool session_open(const struct migration *m, struct session *s, struct err *e);
void session_close(struct session *s); /* fine when not open */

/* One by one, after session_name(). Of one that is open already: does nothing. */
bool session_open_source(struct session *s, struct err *e);
bool session_open_target(struct session *s, struct err *e);

/* The names again, and the connection to the target: everything else is closed. */
void session_keep_target(struct session *s);

/* Checks and compiles. False with e->kind ERR_CONFIG: findings has the failures. */
bool session_compile(struct session *s, struct findings *findings, struct err *e);

/* Checks only, and all there is to check; data_ms: see struct check_options. */
bool session_check(struct session *s, int64_t data_ms, struct findings *findings, struct err *e);

/*
 * wal2json carries the rows of all tables, also those that came before a partition was attached,
 * and under the name that the table had when they were written.
 */
bool session_by_name(const struct session *s);

/* The new tables that the file names, quoted and qualified: one a flow. */
const char **session_targets(struct session *s);

/* What identifies the source and the flows, for the ledger to hold against a restart. */
struct session_identity {
	const char *digest, *system, *database;
	int timeline;
};

bool session_identity(struct session *s, struct session_identity *out, struct err *e);

/* Where the target stands, from the ledger; once the main slot is made. */
bool session_stand(struct session *s, struct err *e);

/* Does the source go on from there? */
bool session_check_source(struct session *s, struct continuity_slot *out, struct err *e);

#endif
