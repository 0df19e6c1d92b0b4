#include "service/partitions.h"

#include <stdlib.h>

struct known {
	const struct relation *relation;
	struct table_plan *table; /* NULL: nobody's */
};

struct partitions {
	struct session *session;
	bool any; /* the plan has a partitioned table */
	struct known *list;
	unsigned count, cap;
	unsigned last; /* found by the last look-up */
};

struct partitions *partitions_create(struct session *s)
{
	struct partitions *p = xcalloc(1, sizeof *p);

	p->session = s;
	for (unsigned i = 0; i < s->plan->ntables; i++)
		p->any |= s->plan->tables[i].partitioned;
	return p;
}

void partitions_destroy(struct partitions *p)
{
	if (!p)
		return;
	free(p->list);
	free(p);
}

/* --- whose changes are they --- */

static const char root_sql[] =
    "SELECT rn.nspname, r.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_class r ON r.oid = pg_partition_root(c.oid)"
    " JOIN pg_namespace rn ON rn.oid = r.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relispartition";

/* A table that the plan does not know may be a partition that was made since. */
static bool ask_for_root(struct partitions *p, const struct relation *r, struct table_plan **out,
			 struct err *e)
{
	const char *names[] = { r->schema, r->name };
	struct pg_result *res = NULL;

	if (!pg_query(p->session->source, root_sql, 2, names, &res, e))
		return err_wrap(e, "ask whose partition %s.%s is", r->schema, r->name);
	if (pg_rows(res)) {
		struct plan *plan = p->session->plan;
		*out = plan_table(plan, pg_text(res, 0, 0), pg_text(res, 0, 1));
		if (*out)
			plan_add_part(plan, *out, r->schema, r->name);
	}
	pg_result_free(res);
	return true;
}

static bool learn(struct partitions *p, const struct relation *r, struct err *e)
{
	struct table_plan *t = plan_table(p->session->plan, r->schema, r->name);

	if (!t && !ask_for_root(p, r, &t, e))
		return false;
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->list = xrealloc(p->list, p->cap * sizeof *p->list);
	}
	p->last = p->count;
	p->list[p->count++] = (struct known){ r, t };
	return true;
}

static bool find(struct partitions *p, const struct relation *r, struct table_plan **out,
		 struct err *e)
{
	if (p->last >= p->count || p->list[p->last].relation != r) {
		p->last = 0;
		while (p->last < p->count && p->list[p->last].relation != r)
			p->last++;
		if (p->last == p->count && !learn(p, r, e))
			return false;
	}
	*out = p->list[p->last].table;
	return true;
}

/* --- TRUNCATE --- */

static bool is_part(const struct plan_part *part, const struct relation *r)
{
	return strcmp(part->schema, r->schema) == 0 && strcmp(part->name, r->name) == 0;
}

static bool names_part(const struct change *first, const struct change *end,
		       const struct plan_part *part)
{
	for (const struct change *c = first; c != end; c = c->next)
		if (is_part(part, c->relation))
			return true;
	return false;
}

static bool names_root(const struct change *first, const struct change *end,
		       const struct table_plan *t)
{
	for (const struct change *c = first; c != end; c = c->next)
		if (strcmp(t->schema, c->relation->schema) == 0 &&
		    strcmp(t->name, c->relation->name) == 0)
			return true;
	return false;
}

/* Are all the table's partitions among these TRUNCATEs, which stand side by side? */
static bool check_truncate(const struct change *first, const struct change *end,
			   const struct table_plan *t, struct err *e)
{
	if (!t->partitioned || names_root(first, end, t))
		return true;
	for (unsigned i = 0; i < t->nparts; i++)
		if (!names_part(first, end, &t->parts[i]))
			return err_set(
			    e, ERR_CONFIG,
			    "TRUNCATE of partition %s.%s of %s alone: which rows of the new table "
			    "those were cannot be told; abort and start again, and empty a "
			    "partition with DELETE while a migration runs",
			    first->relation->schema, first->relation->name, t->label);
	return true;
}

static const struct change *end_of_truncates(const struct change *c)
{
	while (c && c->kind == CHANGE_TRUNCATE)
		c = c->next;
	return c;
}

/* Has a change before c in this row of TRUNCATEs emptied the table already? */
static bool emptied(struct partitions *p, const struct change *first, const struct change *c,
		    const struct table_plan *t, struct err *e)
{
	struct table_plan *other;

	for (; first != c; first = first->next)
		if (find(p, first->relation, &other, e) && other == t)
			return true;
	return false;
}

/* --- a transaction --- */

/* All TRUNCATEs that stand side by side, before any of them is taken out. */
static bool check_truncates(struct partitions *p, const struct change *first, struct err *e)
{
	const struct change *end = end_of_truncates(first);
	struct table_plan *t;

	for (const struct change *c = first; c != end; c = c->next)
		if (!find(p, c->relation, &t, e) || (t && !check_truncate(first, end, t, e)))
			return false;
	return true;
}

/* What the change is for: *keep false for nothing. */
static bool judge(struct partitions *p, const struct change *c, const struct change *truncates,
		  bool *keep, struct err *e)
{
	struct table_plan *t;

	*keep = true;
	if (!c->relation)
		return true;
	if (!find(p, c->relation, &t, e))
		return false;
	if (!t) /* the plugin does not know publications; what is published and unknown is an error */
		*keep = c->relation->whole;
	else if (c->kind == CHANGE_TRUNCATE && t->partitioned)
		*keep = !emptied(p, truncates, c, t, e);
	return true;
}

bool partitions_resolve(struct partitions *p, struct transaction *t, struct err *e)
{
	const struct change *truncates = NULL;
	struct change **link = &t->changes;

	if (!p->any)
		return true;
	for (struct change *c = t->changes; c; c = c->next) {
		bool keep;
		if (c->kind != CHANGE_TRUNCATE)
			truncates = NULL;
		else if (!truncates && !check_truncates(p, truncates = c, e))
			return false;
		if (!judge(p, c, truncates, &keep, e))
			return false;
		t->nchanges -= !keep;
		*link = c;
		if (keep)
			link = &c->next;
	}
	*link = NULL;
	t->tail = link;
	return true;
}

/* --- the ledger's list --- */

/* made_so: the table was made by the transaction that attached it, so it came empty. */
static const char now_sql[] =
    "SELECT t.relid::oid, t.relid::regclass::text, i.xmin, coalesce(i.xmin = y.xmin, false)"
    " FROM pg_partition_tree($1::regclass) t JOIN pg_class c ON c.oid = t.relid"
    " JOIN pg_inherits i ON i.inhrelid = t.relid LEFT JOIN pg_type y ON y.oid = c.reltype"
    " WHERE t.level > 0 ORDER BY t.relid";

static bool load_now(struct session *s, const struct table_plan *t, struct pg_result **out,
		     struct err *e)
{
	return pg_query(s->source, now_sql, 1, &t->quoted, out, e) ||
	       err_wrap(e, "list the partitions of %s", t->label);
}

static bool add_row(struct session *s, const struct table_plan *t, const struct pg_result *r,
		    unsigned row, struct err *e)
{
	struct ledger_partition p = { t->label, pg_text(r, row, 0), pg_text(r, row, 1),
				      pg_text(r, row, 2) };

	return ledger_add_partition(s->target, s->migration->name, &p, e);
}

static bool record_table(struct session *s, const struct table_plan *t, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = load_now(s, t, &r, e);

	for (unsigned i = 0; ok && i < pg_rows(r); i++)
		ok = add_row(s, t, r, i, e);
	pg_result_free(r);
	return ok;
}

bool partitions_record(struct session *s, struct err *e)
{
	bool ok = pg_begin(s->target, e) &&
		  ledger_drop_partitions(s->target, s->migration->name, e);

	for (unsigned i = 0; ok && i < s->plan->ntables; i++)
		ok = !s->plan->tables[i].partitioned || record_table(s, &s->plan->tables[i], e);
	ok = ok && pg_commit(s->target, e);
	if (!ok)
		pg_rollback(s->target);
	return ok;
}

/* The row of that oid, or the number of rows. */
static unsigned row_of(const struct pg_result *r, const char *oid)
{
	unsigned i = 0;

	while (i < pg_rows(r) && strcmp(pg_text(r, i, 0), oid) != 0)
		i++;
	return i;
}

static bool check_gone(const struct table_plan *t, const struct pg_result *now,
		       const struct ledger_partition *had, struct err *e)
{
	unsigned row = row_of(now, had->oid);

	if (row < pg_rows(now) && strcmp(pg_text(now, row, 2), had->attached) == 0)
		return true;
	return err_set(e, ERR_CONFIG,
		       "partition %s of %s was detached or dropped while the migration ran: the "
		       "stream does not tell of rows that go or change so; abort and start again",
		       had->name, t->label);
}

static bool had_it(const struct ledger_partition *had, unsigned count, const char *label,
		   const char *oid)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(had[i].relation, label) == 0 && strcmp(had[i].oid, oid) == 0)
			return true;
	return false;
}

static bool check_new(struct session *s, const struct table_plan *t, const struct pg_result *now,
		      unsigned row, struct err *e)
{
	if (pg_bool(now, row, 3))
		return add_row(s, t, now, row, e);
	return err_set(
	    e, ERR_CONFIG,
	    "%s was attached to %s while the migration ran: the stream did not carry the "
	    "rows it brought; abort and start again, or make partitions with CREATE "
	    "TABLE ... PARTITION OF and insert",
	    pg_text(now, row, 1), t->label);
}

static bool check_table(struct session *s, const struct table_plan *t,
			const struct ledger_partition *had, unsigned count, struct err *e)
{
	struct pg_result *now = NULL;
	bool ok = load_now(s, t, &now, e);

	for (unsigned i = 0; ok && i < count; i++)
		if (strcmp(had[i].relation, t->label) == 0)
			ok = check_gone(t, now, &had[i], e);
	for (unsigned i = 0; ok && i < pg_rows(now); i++)
		if (!had_it(had, count, t->label, pg_text(now, i, 0)))
			ok = check_new(s, t, now, i, e);
	pg_result_free(now);
	return ok;
}

bool partitions_check(struct session *s, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct ledger_partition *had = NULL;
	unsigned count = 0;
	bool ok = true;

	for (unsigned i = 0; ok && i < s->plan->ntables; i++) {
		const struct table_plan *t = &s->plan->tables[i];
		if (!t->partitioned)
			continue;
		ok = had ||
		     ledger_partitions(s->target, s->migration->name, &scratch, &had, &count, e);
		ok = ok && check_table(s, t, had, count, e);
	}
	arena_finish(&scratch);
	return ok;
}
