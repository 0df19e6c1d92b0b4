#include "pg/pipe.h"

#include "pg/array.h"
#include "pg/raw.h"

enum { MAX_PARAMS = 1664 * 2 }; /* columns a table can have, twice */

bool pipe_begin(struct pipe *p, struct pg *pg, struct err *e)
{
	*p = (struct pipe){ NULL, 0, false };
	if (!PQenterPipelineMode(pg_raw(pg))) /* it may be on */
		return pg_fail(pg, NULL, e);
	p->pg = pg;
	++*pg_pipes(pg);
	return true;
}

static bool sent(struct pipe *p, int ok, struct err *e)
{
	if (!ok)
		return pg_fail(p->pg, NULL, e);
	p->sent++;
	return true;
}

bool pipe_send(struct pipe *p, const char *sql, struct err *e)
{
	return sent(p, PQsendQueryParams(pg_raw(p->pg), sql, 0, NULL, NULL, NULL, NULL, 0), e);
}

bool pipe_send_texts(struct pipe *p, const char *sql, struct bytes texts, struct err *e)
{
	const Oid type = wire_array_type(WIRE_TEXT);
	const int length = (int)texts.len, binary = 1;

	return sent(
	    p, PQsendQueryParams(pg_raw(p->pg), sql, 1, &type, &texts.data, &length, &binary, 0),
	    e);
}

/* Binary parameters as libpq takes them. */
struct binary_params {
	const char *values[MAX_PARAMS];
	int lengths[MAX_PARAMS], formats[MAX_PARAMS];
};

static void fill_params(struct binary_params *b, const struct bytes *params, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		b->values[i] = params[i].data;
		b->lengths[i] = (int)params[i].len;
		b->formats[i] = 1;
	}
}

static bool send_binary(struct pipe *p, const char *name, const struct bytes *params, unsigned n,
			struct err *e)
{
	struct binary_params b;

	fill_params(&b, params, n);
	return sent(
	    p, PQsendQueryPrepared(pg_raw(p->pg), name, (int)n, b.values, b.lengths, b.formats, 0),
	    e);
}

bool pipe_send_arrays(struct pipe *p, const struct statement *s, const struct bytes *params,
		      struct err *e)
{
	return send_binary(p, s->name, params, s->nparams, e);
}

bool pipe_send_one(struct pipe *p, const struct statement *s, const struct bytes *params,
		   struct err *e)
{
	return send_binary(p, s->one_name, params, s->nparams, e);
}

bool pg_query_arrays(struct pg *pg, const struct statement *s, const struct bytes *params,
		     struct pg_result **out, struct err *e)
{
	struct binary_params b;

	fill_params(&b, params, s->nparams);
	PGresult *res =
	    PQexecPrepared(pg_raw(pg), s->name, (int)s->nparams, b.values, b.lengths, b.formats, 0);
	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		pg_fail(pg, res, e);
		PQclear(res);
		return false;
	}
	*out = (struct pg_result *)res;
	return true;
}

bool pipe_send_prepared(struct pipe *p, const char *name, unsigned nparams,
			const char *const *params, struct err *e)
{
	return sent(
	    p, PQsendQueryPrepared(pg_raw(p->pg), name, (int)nparams, params, NULL, NULL, 0), e);
}

/* One statement's result, to its end. False: it failed, or was skipped after a failure. */
static bool read_result(struct pipe *p, uint64_t *affected, bool *skipped, struct err *e)
{
	PGconn *conn = pg_raw(p->pg);
	PGresult *res = PQgetResult(conn);
	ExecStatusType status = PQresultStatus(res);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	*skipped = status == PGRES_PIPELINE_ABORTED;
	if (ok && affected)
		*affected = pg_affected((struct pg_result *)res);
	if (!ok && !*skipped)
		pg_fail(p->pg, res, e);
	PQclear(res);
	while (!pg_lost(p->pg) && (res = PQgetResult(conn)) != NULL)
		PQclear(res);
	return ok;
}

/* The answer to the sync; after the last one pipeline mode can be left. */
static bool read_sync(struct pipe *p)
{
	PGconn *conn = pg_raw(p->pg);
	bool last = --*pg_pipes(p->pg) == 0;
	PGresult *res;

	while (!pg_lost(p->pg) && (res = PQgetResult(conn)) != NULL) {
		bool sync = PQresultStatus(res) == PGRES_PIPELINE_SYNC;
		PQclear(res);
		if (sync)
			return !last || PQexitPipelineMode(conn) == 1;
	}
	return false;
}

bool pipe_end(struct pipe *p, struct err *e)
{
	p->ended = PQpipelineSync(pg_raw(p->pg)) == 1;
	return p->ended || pg_fail(p->pg, NULL, e);
}

bool pipe_finish(struct pipe *p, int *failed, uint64_t *affected, struct err *e)
{
	bool ok = true;

	*failed = PIPE_NONE;
	if (!p->ended && !pipe_end(p, e))
		return false;
	for (unsigned i = 0; i < p->sent && !pg_lost(p->pg); i++) {
		bool skipped;
		if (read_result(p, affected ? &affected[i] : NULL, &skipped, e) || !ok)
			continue;
		ok = false;
		*failed = pg_lost(p->pg) ? PIPE_NONE : (int)i;
	}
	if (!read_sync(p) && ok)
		return pg_fail(p->pg, NULL, e);
	return ok && !pg_lost(p->pg);
}

static bool prepared(struct pg *pg, PGresult *res, struct err *e)
{
	bool ok = PQresultStatus(res) == PGRES_COMMAND_OK || pg_fail(pg, res, e);

	PQclear(res);
	return ok;
}

static bool prepare_form(struct pg *pg, const char *name, const char *sql,
			 const struct statement *s, uint32_t (*type)(enum wire), struct err *e)
{
	Oid types[MAX_PARAMS];

	if (s->nparams > MAX_PARAMS)
		return err_set(e, ERR_CONFIG, "%s: %u parameters, at most %d", name, s->nparams,
			       MAX_PARAMS);
	for (unsigned i = 0; i < s->nparams; i++)
		types[i] = type(s->params[i].wire);
	return prepared(pg, PQprepare(pg_raw(pg), name, sql, (int)s->nparams, types), e);
}

bool pg_prepare_arrays(struct pg *pg, const struct statement *s, struct err *e)
{
	return prepare_form(pg, s->name, s->sql, s, wire_array_type, e);
}

bool pg_prepare_one(struct pg *pg, const struct statement *s, struct err *e)
{
	return prepare_form(pg, s->one_name, s->one, s, wire_element_type, e);
}

bool pg_prepare(struct pg *pg, const char *name, const char *sql, struct err *e)
{
	return prepared(pg, PQprepare(pg_raw(pg), name, sql, 0, NULL), e);
}
