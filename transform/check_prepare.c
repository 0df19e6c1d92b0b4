#include "transform/check.h"

#include "pg/conn.h"
#include "transform/sql.h"

#include <string.h>

/* Does the target take it? *why is set when it does not. */
static bool try_sql(struct check *c, const char *sql, struct err *why, bool *taken, struct err *e)
{
	err_clear(why);
	*taken = pg_try_prepare(c->target.pg, sql, why);
	if (!*taken && why->kind == ERR_RETRY)
		return err_set(e, ERR_RETRY, "%s", why->text);
	char *hint = strstr(why->text, "; hint: ");
	if (hint)
		*hint = '\0'; /* it tells how to write SQL in general */
	return true;
}

/* Names, functions and types inside the SELECT. */
static bool try_select(struct check *c, const struct flow *f, struct err *e)
{
	struct err why = ERR_INIT;
	bool taken;

	if (!try_sql(c, sql_select(c->arena, f), &why, &taken, e))
		return false;
	if (!taken)
		check_fail_at(c, f->subject, f->def->select_lies.first,
			      "the target refuses the SELECT: %s; correct it", why.text);
	return true;
}

/* Refused together, each output is tried against its column, so that the right one is named. */
static bool try_outputs(struct check *c, const struct flow *f, struct err *e)
{
	struct err why = ERR_INIT;
	bool taken;

	if (!try_sql(c, f->plan->insert.sql, &why, &taken, e) || taken)
		return taken;
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		if (!try_sql(c, sql_insert_one(c->arena, f, i), &why, &taken, e))
			return false;
		if (!taken)
			check_fail_select(
			    c, f, f->query->outputs[i].at,
			    "the target refuses output \"%s\": %s; cast or correct it",
			    f->query->outputs[i].name, why.text);
	}
	return true;
}

static bool try_statement(struct check *c, const struct flow *f, const struct statement *s,
			  struct err *e)
{
	struct err why = ERR_INIT;
	bool taken = true;

	if (s->sql && !try_sql(c, s->sql, &why, &taken, e))
		return false;
	if (!taken)
		check_fail_at(c, f->subject, f->def->select_lies.first,
			      "the target refuses to %s: %s; correct the SELECT",
			      strchr(s->name, '_') + 1, why.text);
	return true;
}

bool check_prepare(struct check *c, const struct flow *f, struct err *e)
{
	const struct flow_plan *p = f->plan;
	const struct statement *all[] = { &p->insert, &p->upsert, &p->renew, &p->update, &p->remove,
					  &p->leave,  &p->clear,  &p->move,  NULL };
	unsigned failures = c->findings->failures;

	bool ok = try_select(c, f, e);

	if (ok && c->findings->failures == failures)
		ok = try_outputs(c, f, e);
	for (unsigned i = 0; ok && all[i]; i++)
		if (c->findings->failures == failures &&    /* else it would say the same again */
		    !(f->key_away && all[i] == &p->upsert)) /* it names the index that is away */
			ok = try_statement(c, f, all[i], e);
	return ok;
}
