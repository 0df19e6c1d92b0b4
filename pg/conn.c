#include "pg/conn.h"

#include "core/arena.h"
#include "core/buf.h"
#include "pg/complaint.h"
#include "pg/raw.h"
#include "pg/sqlstate.h"

#include <stdarg.h>
#include <stdlib.h>

struct pg {
	PGconn *conn;
	PGcancel *cancel; /* made once, so that another thread may use it */
	unsigned pipes;
};

/* Neither role nor database settings may reach the data or end our transactions. */
static const char pinned[] = "SET client_encoding = 'UTF8'; SET datestyle = 'ISO, MDY'; "
			     "SET intervalstyle = 'postgres'; SET timezone = 'UTC'; "
			     "SET bytea_output = 'hex'; SET extra_float_digits = 3; "
			     "SET lc_monetary = 'C'; SET lc_numeric = 'C'; SET lc_time = 'C'; "
			     "SET default_tablespace = ''; "
			     "SET default_text_search_config = 'pg_catalog.simple'; "
			     "SET timezone_abbreviations = 'Default'; "
			     "SET gin_fuzzy_search_limit = 0; SET xmloption = 'content'; "
			     "SET xmlbinary = 'base64'; SET quote_all_identifiers = off; "
			     "SET standard_conforming_strings = on; SET row_security = off; "
			     "SET array_nulls = on; SET transform_null_equals = off; "
			     "SET synchronous_commit = on; SET jit = off; "
			     "SET statement_timeout = 0; SET lock_timeout = 0; "
			     "SET idle_in_transaction_session_timeout = 0; "
			     "SET idle_session_timeout = 0; "
			     "SET default_transaction_isolation = 'read committed'; "
			     "SET default_transaction_read_only = off; "
			     "SET default_transaction_deferrable = off; "
			     /* else parameters, which are rows, come with error messages */
			     "SET log_parameter_max_length_on_error = 0;";

static void ignore_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

PGconn *pg_raw(struct pg *pg)
{
	return pg->conn;
}

unsigned *pg_pipes(struct pg *pg)
{
	return &pg->pipes;
}

/* libpq ends its messages with a newline. */
static void chomp(char *s)
{
	size_t len = strlen(s);

	while (len && (s[len - 1] == '\n' || s[len - 1] == ' '))
		s[--len] = '\0';
}

bool pg_conninfo_check(const char *conninfo, bool *has_password, struct err *e)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

	if (!options)
		return err_set(e, ERR_CONFIG, "not a libpq connection string or URI");
	*has_password = false;
	for (PQconninfoOption *o = options; o->keyword; o++)
		if (strcmp(o->dispchar, "*") == 0 && o->val && *o->val) /* sslpassword, too */
			*has_password = true;
	PQconninfoFree(options);
	return true;
}

/* Names are in quotes, and are no sign of anything. */
static void cut_names(char *text)
{
	bool name = false;
	char *out = text;

	for (const char *in = text; *in; in++) {
		name ^= *in == '"';
		if (!name)
			*out++ = *in;
	}
	*out = '\0';
}

/*
 * A refusal that waiting does not cure, as far as libpq lets us see. What it says before it tries a
 * server is of the conninfo, a service or a file; a server's own words may be in another language.
 */
static enum err_kind connect_kind(char *message)
{
	static const char *const refused[] = {
		"authentication failed",
		"authentication method",
		"authentication requires",
		"pg_hba.conf",
		"does not exist",
		"no password supplied",
		"empty password",
		"permission denied",
		"not permitted",
		"must be superuser",
		"no such database", /* a pooler's */
		"no such user",
		"parameter",
		"connection option",
		"does not support SSL",
		"certificate",
		"private key",
		"channel binding",
		"requirepeer",
		"GSSAPI encryption",
	};

	cut_names(message);
	if (!strstr(message, "connection to server "))
		return strstr(message, "could not translate host name") ? ERR_RETRY : ERR_CONFIG;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (strstr(message, refused[i]))
			return ERR_CONFIG;
	return ERR_RETRY;
}

static PGconn *connect_params(const struct pg_options *o)
{
	/* what stands before dbname is a default, what follows it is ours */
	const char *keys[] = { "connect_timeout",  "tcp_user_timeout",
			       "keepalives_idle",  "keepalives_interval",
			       "keepalives_count", "dbname",
			       "application_name", "client_encoding",
			       "replication",      NULL };
	/* a peer that is gone without a word is noticed within a minute, not in two hours */
	const char *values[] = { "10",
				 "30000",
				 "30",
				 "10",
				 "3",
				 o->conninfo,
				 o->application,
				 "UTF8",
				 o->replication ? "database" : NULL,
				 NULL };

	return PQconnectdbParams(keys, values, 1);
}

/* A pooler makes up the process id that it tells; session settings would go to strangers. */
static bool is_direct(struct pg *pg, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query_row(pg, "SELECT pg_catalog.pg_backend_pid()", 0, NULL, &r, e))
		return false;
	int pid = (int)pg_int(r, 0, 0), told = PQbackendPID(pg->conn);
	pg_result_free(r);
	return pid == told ||
	       err_set(
		   e, ERR_CONFIG,
		   "the connection goes through a pooler such as PgBouncer (the server's process "
		   "is %d, the connection was told %d), which keeps no session settings and "
		   "passes no replication; name the server's own host and port",
		   pid, told);
}

/* Triggers and foreign keys fire as for anyone. Only a superuser may even set it to what it is. */
static const char as_origin[] = "SELECT set_config('session_replication_role', 'origin', false)"
				" WHERE current_setting('session_replication_role') <> 'origin'";

static bool pin_settings(struct pg *pg, const struct pg_options *o, struct err *e)
{
	return pg_exec(pg, pinned, e) && pg_exec(pg, as_origin, e) &&
	       (PQserverVersion(pg->conn) < 170000 ||
		pg_exec(pg, "SET transaction_timeout = 0", e)) &&
	       pg_execf(pg, e, "SET search_path = pg_catalog%s%s, pg_temp",
			o->search_path && *o->search_path ? ", " : "",
			o->search_path ? o->search_path : "");
}

bool pg_open(const struct pg_options *options, struct pg **out, struct err *e)
{
	struct pg *pg = xcalloc(1, sizeof *pg);

	pg->conn = connect_params(options);
	if (PQstatus(pg->conn) != CONNECTION_OK) {
		char *message = xstrdup(PQerrorMessage(pg->conn));
		chomp(message);
		err_set(e, ERR_RETRY, "%s", message);
		e->kind = connect_kind(message);
		free(message);
		pg_close(pg);
		return false;
	}
	PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
	pg->cancel = PQgetCancel(pg->conn);
	if (!is_direct(pg, e)) {
		pg_close(pg);
		return false;
	}
	if (!pin_settings(pg, options, e)) {
		pg_close(pg);
		return err_wrap(e, "pin session settings");
	}
	*out = pg;
	return true;
}

void pg_close(struct pg *pg)
{
	if (!pg)
		return;
	PQfreeCancel(pg->cancel);
	PQfinish(pg->conn);
	free(pg);
}

bool pg_lost(const struct pg *pg)
{
	return PQstatus(pg->conn) != CONNECTION_OK;
}

bool pg_alive(struct pg *pg, struct err *e)
{
	/* what it said last comes before the end of the connection: the second look sees that */
	return (PQconsumeInput(pg->conn) == 1 && !PQisBusy(pg->conn) &&
		PQconsumeInput(pg->conn) == 1) ||
	       pg_fail(pg, NULL, e);
}

int pg_server_version(const struct pg *pg)
{
	return PQserverVersion(pg->conn);
}

int pg_backend_pid(const struct pg *pg)
{
	return PQbackendPID(pg->conn);
}

void pg_cancel(struct pg *pg)
{
	char ignored[256];

	if (pg && pg->cancel)
		PQcancel(pg->cancel, ignored, sizeof ignored);
}

static bool fail(struct pg *pg, const PGresult *res, bool copying, struct err *e)
{
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	struct buf text = BUF_INIT;

	if (state) {
		complaint_put(res, copying, &text);
		err_set(e, sqlstate_kind(state), "%s", buf_str(&text));
		strncpy(e->sqlstate, state, sizeof e->sqlstate - 1);
	} else {
		const char *message = PQerrorMessage(pg->conn);
		if (res && *PQresultErrorMessage(res))
			message = PQresultErrorMessage(res);
		err_set(e, ERR_RETRY, "%s", *message ? message : "connection lost");
		chomp(e->text);
	}
	buf_free(&text);
	return false;
}

bool pg_fail(struct pg *pg, const PGresult *res, struct err *e)
{
	return fail(pg, res, false, e);
}

bool pg_fail_copy(struct pg *pg, const PGresult *res, struct err *e)
{
	return fail(pg, res, true, e);
}

/* Takes res over. out gets it, or it is freed. */
static bool finish(struct pg *pg, PGresult *res, struct pg_result **out, struct err *e)
{
	ExecStatusType status = PQresultStatus(res);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok) {
		if (status == PGRES_EMPTY_QUERY)
			err_set(e, ERR_INPUT, "empty statement");
		else
			pg_fail(pg, res, e);
	}
	if (ok && out)
		*out = (struct pg_result *)res;
	else
		PQclear(res);
	return ok;
}

bool pg_exec(struct pg *pg, const char *sql, struct err *e)
{
	return finish(pg, PQexec(pg->conn, sql), NULL, e);
}

bool pg_execf(struct pg *pg, struct err *e, const char *fmt, ...)
{
	char *sql;
	va_list args;

	va_start(args, fmt);
	int n = vasprintf(&sql, fmt, args);
	va_end(args);
	if (n < 0)
		abort();
	bool ok = pg_exec(pg, sql, e);
	free(sql);
	return ok;
}

bool pg_query(struct pg *pg, const char *sql, unsigned nparams, const char *const *params,
	      struct pg_result **out, struct err *e)
{
	/* a walsender knows the simple protocol only */
	PGresult *res = nparams
			    ? PQexecParams(pg->conn, sql, (int)nparams, NULL, params, NULL, NULL, 0)
			    : PQexec(pg->conn, sql);

	return finish(pg, res, out, e);
}

bool pg_query_row(struct pg *pg, const char *sql, unsigned nparams, const char *const *params,
		  struct pg_result **out, struct err *e)
{
	if (!pg_query(pg, sql, nparams, params, out, e))
		return false;
	unsigned rows = pg_rows(*out);
	if (rows == 1)
		return true;
	pg_result_free(*out);
	*out = NULL;
	return err_set(e, ERR_INPUT, "want one row, got %u", rows);
}

bool pg_try_prepare(struct pg *pg, const char *sql, struct err *e)
{
	return finish(pg, PQprepare(pg->conn, "", sql, 0, NULL), NULL, e);
}

unsigned pg_rows(const struct pg_result *r)
{
	return (unsigned)PQntuples((const PGresult *)r);
}

uint64_t pg_affected(const struct pg_result *r)
{
	return strtoull(PQcmdTuples((PGresult *)r), NULL, 10);
}

const char *pg_value(const struct pg_result *r, unsigned row, unsigned column)
{
	const PGresult *res = (const PGresult *)r;

	return PQgetisnull(res, (int)row, (int)column) ? NULL
						       : PQgetvalue(res, (int)row, (int)column);
}

const char *pg_text(const struct pg_result *r, unsigned row, unsigned column)
{
	return PQgetvalue((const PGresult *)r, (int)row, (int)column);
}

int64_t pg_int(const struct pg_result *r, unsigned row, unsigned column)
{
	return strtoll(pg_text(r, row, column), NULL, 10);
}

bool pg_bool(const struct pg_result *r, unsigned row, unsigned column)
{
	return pg_text(r, row, column)[0] == 't';
}

lsn_t pg_lsn(const struct pg_result *r, unsigned row, unsigned column)
{
	lsn_t lsn = 0;

	lsn_parse(pg_text(r, row, column), &lsn);
	return lsn;
}

void pg_result_free(struct pg_result *r)
{
	PQclear((PGresult *)r);
}

bool pg_begin(struct pg *pg, struct err *e)
{
	return pg_exec(pg, "BEGIN", e);
}

bool pg_commit(struct pg *pg, struct err *e)
{
	PGresult *res = PQexec(pg->conn, "COMMIT");

	/* COMMIT of a failed transaction answers ROLLBACK and calls that success */
	if (PQresultStatus(res) == PGRES_COMMAND_OK && strcmp(PQcmdStatus(res), "COMMIT") != 0) {
		PQclear(res);
		return err_set(e, ERR_RETRY, "the transaction had failed and was rolled back");
	}
	return finish(pg, res, NULL, e);
}

void pg_rollback(struct pg *pg)
{
	PGTransactionStatusType status = PQtransactionStatus(pg->conn);

	if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
		PQclear(PQexec(pg->conn, "ROLLBACK"));
}
