/*
 * EXPLAIN starts a statement without running it, and the server looks at every privilege
 * then: on tables, and on the functions that the SELECT, defaults and generated columns call.
 */
#include "transform/check.h"

#include "core/buf.h"
#include "pg/conn.h"

static const char *explain_sql(struct arena *a, unsigned nparams)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "EXPLAIN EXECUTE pgcrossfade_try");
	for (unsigned i = 0; i < nparams; i++)
		buf_puts(&b, i ? ", NULL" : "(NULL");
	buf_puts(&b, nparams ? ")" : "");
	return sql_text(a, &b);
}

/* A prepared statement is none of the transaction's. */
static bool explain(struct check *c, const struct statement *s, struct err *why)
{
	struct pg *pg = c->target.pg;
	struct err ignored = ERR_INIT;
	bool ok = pg_exec(pg, "SET plan_cache_mode = force_generic_plan", why) &&
		  pg_execf(pg, why, "PREPARE pgcrossfade_try AS %s", s->sql) &&
		  pg_exec(pg, explain_sql(c->arena, s->nparams), why);

	pg_exec(pg, "DEALLOCATE pgcrossfade_try", &ignored);
	pg_exec(pg, "RESET plan_cache_mode", &ignored);
	return ok;
}

static bool may_run(struct check *c, const struct flow *f, const struct statement *s, struct err *e)
{
	struct err why = ERR_INIT;

	if (explain(c, s, &why))
		return true;
	if (why.kind == ERR_RETRY)
		return err_set(e, ERR_RETRY, "%s", why.text);
	check_fail_at(c, f->subject, f->def->select_lies.first,
		      "role %s may not run what the flow needs at the target: %s; GRANT what is "
		      "missing to it",
		      c->target.user, why.text);
	return true;
}

bool check_explain(struct check *c, struct flow *f, struct err *e)
{
	const struct statement *all[] = { &f->plan->insert, &f->plan->remove, &f->plan->renew,
					  &f->plan->update };
	unsigned failures = c->findings->failures;

	for (size_t i = 0; i < sizeof all / sizeof(void *); i++)
		if (all[i]->sql && c->findings->failures == failures && !may_run(c, f, all[i], e))
			return false;
	return true;
}
