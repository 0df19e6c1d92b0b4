/*
 * pg/conn.h: one connection to a server, with every setting that reaches the data pinned.
 *
 * Ownership  pg_open makes, pg_close ends (NULL is fine). A pg_result is the caller's
 *            until pg_result_free (NULL is fine); strings out of it live as long.
 * Errors     kind by SQLSTATE (pg/sqlstate.h); text names the statement's purpose only
 *            where the caller wraps it. A lost connection is ERR_RETRY and pg_lost()
 *            is true from then on. Conninfo text is never in an error.
 * Threads    one at a time; pg_cancel may come from any thread.
 */
#ifndef PGCROSSFADE_PG_CONN_H
#define PGCROSSFADE_PG_CONN_H

#include "core/err.h"
#include "core/lsn.h"

#include <stdint.h>

struct pg;
struct pg_result;

struct pg_options {
	const char *conninfo;    /* anything libpq takes */
	const char *application; /* application_name, seen in pg_stat_activity */
	const char *search_path; /* quoted list after pg_catalog; NULL: pg_catalog alone */
	bool replication;        /* a logical walsender; takes SQL too */
};

/* Is it a libpq connection string or URI, and does it carry a password? The text of
 * the error never repeats the string. */
bool pg_conninfo_check(const char *conninfo, bool *has_password, struct err *e);

/* Refuses a connection through a pooler, before anything is set on it. */
bool pg_open(const struct pg_options *options, struct pg **out, struct err *e);
void pg_close(struct pg *pg);
bool pg_lost(const struct pg *pg);

/* Of one that is idle: takes in what the server said unasked. False: the connection is gone. */
bool pg_alive(struct pg *pg, struct err *e);
int pg_server_version(const struct pg *pg); /* 150020 for 15.20 */
int pg_backend_pid(const struct pg *pg);

/* One or more statements, no parameters, no rows wanted. */
bool pg_exec(struct pg *pg, const char *sql, struct err *e);

/* The same, put together by a format. */
bool pg_execf(struct pg *pg, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* One statement with text parameters (NULL is SQL NULL). out may be NULL. */
bool pg_query(struct pg *pg, const char *sql, unsigned nparams, const char *const *params,
	      struct pg_result **out, struct err *e);

/* Exactly one row wanted: zero or more than one is ERR_INPUT. */
bool pg_query_row(struct pg *pg, const char *sql, unsigned nparams, const char *const *params,
		  struct pg_result **out, struct err *e);

/* Parses and plans sql without running it: what the server would say of it. */
bool pg_try_prepare(struct pg *pg, const char *sql, struct err *e);

unsigned pg_rows(const struct pg_result *r);
uint64_t pg_affected(const struct pg_result *r);
const char *pg_value(const struct pg_result *r, unsigned row,
		     unsigned column); /* NULL is SQL NULL */
const char *pg_text(const struct pg_result *r, unsigned row, unsigned column); /* "" for NULL */
int64_t pg_int(const struct pg_result *r, unsigned row, unsigned column);      /* 0 for NULL */
bool pg_bool(const struct pg_result *r, unsigned row, unsigned column);        /* false for NULL */
lsn_t pg_lsn(const struct pg_result *r, unsigned row, unsigned column);        /* 0 for NULL */
void pg_result_free(struct pg_result *r);

bool pg_begin(struct pg *pg, struct err *e);
bool pg_commit(struct pg *pg, struct err *e);
void pg_rollback(struct pg *pg); /* no-op outside a transaction or on a lost connection */

/* Asks the server to stop what this connection runs. */
void pg_cancel(struct pg *pg);

#endif
