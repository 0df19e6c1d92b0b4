#include "service/partitions.h"

#include "pg/attached.h"
#include "pg/tree.h"

#include <inttypes.h>
#include <stdio.h>
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

static void remember(struct partitions *p, const struct relation *r, struct table_plan *t)
{
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->list = xrealloc(p->list, p->cap * sizeof *p->list);
	}
	p->last = p->count;
	p->list[p->count++] = (struct known){ r, t };
}

/* A transaction holds the lock on its own number until every snapshot shows it. */
static bool ask_whether_seen(struct partitions *p, const struct transaction *t, bool *seen,
			     struct err *e)
{
	char xid[16];
	const char *params[] = { xid };
	struct pg_result *res = NULL;

	snprintf(xid, sizeof xid, "%" PRIu32, t->xid);
	if (!pg_query(p->session->source,
		      "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND granted"
		      " AND transactionid = $1::xid",
		      1, params, &res, e))
		return err_wrap(e, "ask whether transaction %s is visible", xid);
	*seen = pg_rows(res) == 0;
	pg_result_free(res);
	return true;
}

/* Asks first whether t is visible: what the source shows afterwards is what t left. */
static bool learn(struct partitions *p, const struct transaction *t, const struct relation *r,
		  bool *seen, struct err *e)
{
	struct table_plan *table = plan_table(p->session->plan, r->schema, r->name);

	if (!table &&
	    (!ask_whether_seen(p, t, seen, e) || (*seen && !ask_for_root(p, r, &table, e))))
		return false;
	if (*seen)
		remember(p, r, table);
	return true;
}

static bool is_known(struct partitions *p, const struct relation *r)
{
	if (p->last < p->count && p->list[p->last].relation == r)
		return true;
	p->last = 0;
	while (p->last < p->count && p->list[p->last].relation != r)
		p->last++;
	return p->last < p->count;
}

/* Before any change is taken out. */
static bool learn_all(struct partitions *p, const struct transaction *t, bool *seen, struct err *e)
{
	*seen = true;
	for (const struct change *c = t->changes; c && *seen; c = c->next)
		if (c->relation && !is_known(p, c->relation) && !learn(p, t, c->relation, seen, e))
			return false;
	return true;
}

/* NULL: nobody's. Of a relation that is known. */
static struct table_plan *table_of(struct partitions *p, const struct relation *r)
{
	return is_known(p, r) ? p->list[p->last].table : NULL;
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
		    const struct table_plan *t)
{
	for (; first != c; first = first->next)
		if (table_of(p, first->relation) == t)
			return true;
	return false;
}

/* --- a transaction --- */

/* All TRUNCATEs that stand side by side, before any of them is taken out. */
static bool check_truncates(struct partitions *p, const struct change *first, struct err *e)
{
	const struct change *end = end_of_truncates(first);

	for (const struct change *c = first; c != end; c = c->next) {
		const struct table_plan *t = table_of(p, c->relation);
		if (t && !check_truncate(first, end, t, e))
			return false;
	}
	return true;
}

static bool is_kept(struct partitions *p, const struct change *c, const struct change *truncates)
{
	if (!c->relation)
		return true;
	const struct table_plan *t = table_of(p, c->relation);
	if (!t) /* the plugin does not know publications; what is published and unknown is an error */
		return c->relation->whole;
	return c->kind != CHANGE_TRUNCATE || !t->partitioned || !emptied(p, truncates, c, t);
}

static bool take_out(struct partitions *p, struct transaction *t, struct err *e)
{
	const struct change *truncates = NULL;
	struct change **link = &t->changes;

	for (struct change *c = t->changes; c; c = c->next) {
		if (c->kind != CHANGE_TRUNCATE)
			truncates = NULL;
		else if (!truncates && !check_truncates(p, truncates = c, e))
			return false;
		bool keep = is_kept(p, c, truncates);
		t->nchanges -= !keep;
		*link = c;
		if (keep)
			link = &c->next;
	}
	*link = NULL;
	t->tail = link;
	return true;
}

bool partitions_resolve(struct partitions *p, struct transaction *t, bool *seen, struct err *e)
{
	*seen = true;
	if (!p->any)
		return true;
	return learn_all(p, t, seen, e) && (!*seen || take_out(p, t, e));
}

/* --- the ledger's list --- */

/*
 * How it became a partition is told by the catalog's rows, which keep the transaction and the
 * command that wrote them. The row of a system column is never written again, whatever happens
 * to the table's name or owner. ATTACH writes the rows of all the other columns again, CREATE
 * TABLE ... PARTITION OF does not: where one is older than the attach, the partition came empty.
 * A row that somebody tried to delete (xmax) has lost its command's number.
 */
static const char now_sql[] =
    "SELECT t.relid::oid, t.relid::regclass::text, i.xmin,"
    " s.here AND EXISTS (SELECT FROM pg_attribute u WHERE u.attrelid = t.relid AND u.attnum > 0"
    "   AND NOT u.attisdropped AND u.xmin = a.xmin AND u.xmax = 0"
    "   AND u.cmin::text::bigint < i.cmin::text::bigint),"
    " s.here, a.cmin, i.cmin, c.relpersistence = 'p' AND c.relkind IN ('r', 'p')"
    " FROM " PG_TREE(
	"$1") " t JOIN pg_class c ON c.oid = t.relid"
	      " JOIN pg_inherits i ON i.inhrelid = t.relid"
	      " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attnum = -1"
	      " CROSS JOIN LATERAL (SELECT i.xmin = a.xmin AND i.xmax = 0 AND a.xmax = 0) s (here)"
	      " WHERE t.relid <> $1::regclass ORDER BY t.relid";

enum now_column {
	NOW_OID,
	NOW_NAME,
	NOW_ATTACHED_BY,
	NOW_MADE_AS_PARTITION,
	NOW_MADE_HERE, /* by the transaction that attached it */
	NOW_MADE_AT,
	NOW_ATTACHED_AT,
	NOW_IN_STREAM,
};

static bool load_now(struct session *s, const struct table_plan *t, struct pg_result **out,
		     struct err *e)
{
	return pg_query(s->source, now_sql, 1, &t->quoted, out, e) ||
	       err_wrap(e, "list the partitions of %s", t->label);
}

static bool add_row(struct session *s, const struct table_plan *t, const struct pg_result *r,
		    unsigned row, struct err *e)
{
	struct ledger_partition p = { t->label, pg_text(r, row, NOW_OID), pg_text(r, row, NOW_NAME),
				      pg_text(r, row, NOW_ATTACHED_BY) };

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

	while (i < pg_rows(r) && strcmp(pg_text(r, i, NOW_OID), oid) != 0)
		i++;
	return i;
}

/* Its rows come under the name that it had when they were written, and are not known by another. */
static bool check_name(const struct session *s, const struct table_plan *t, const char *now,
		       const struct ledger_partition *had, struct err *e)
{
	return !session_by_name(s) || strcmp(now, had->name) == 0 ||
	       err_set(e, ERR_CONFIG,
		       "partition %s of %s is called %s now, and wal2json sends rows by the name "
		       "that their table has; abort and start again",
		       had->name, t->label, now);
}

static bool check_had(const struct session *s, const struct table_plan *t,
		      const struct pg_result *now, const struct ledger_partition *had,
		      struct err *e)
{
	unsigned row = row_of(now, had->oid);

	if (row < pg_rows(now) && strcmp(pg_text(now, row, NOW_ATTACHED_BY), had->attached) == 0)
		return check_name(s, t, pg_text(now, row, NOW_NAME), had, e);
	return err_set(e, ERR_CONFIG,
		       "partition %s of %s was detached or dropped while the migration ran: the "
		       "stream does not tell of rows that go or change so; abort and start again",
		       had->name, t->label);
}

static bool check_in_stream(const struct table_plan *t, const struct pg_result *now, unsigned row,
			    struct err *e)
{
	return pg_bool(now, row, NOW_IN_STREAM) ||
	       err_set(e, ERR_CONFIG,
		       "%s is a partition of %s, and unlogged or foreign: the stream does "
		       "not carry its rows; abort, and start again when it is a plain table",
		       pg_text(now, row, NOW_NAME), t->label);
}

struct partitions_had {
	struct ledger_partition *list;
	unsigned count;
};

static bool had_it(const struct partitions_had *had, const char *label, const char *oid)
{
	for (unsigned i = 0; i < had->count; i++)
		if (strcmp(had->list[i].relation, label) == 0 && strcmp(had->list[i].oid, oid) == 0)
			return true;
	return false;
}

/*
 * A row that never came, and was changed since, comes whole with its change, or stops the run. Not
 * so where changes are not followed; and without a key a DELETE of it takes another one like it.
 */
static bool follows_changes(const struct table_plan *t)
{
	for (unsigned i = 0; i < t->nflows; i++)
		if (!t->flows[i].keyed || t->flows[i].lookup)
			return false;
	return !t->insert_only;
}

static bool ask_what_it_brought(struct session *s, const struct table_plan *t,
				const struct pg_result *now, unsigned row, enum brought *out,
				struct err *e)
{
	bool here = pg_bool(now, row, NOW_MADE_HERE);
	const struct attached a = {
		.name = pg_text(now, row, NOW_NAME),
		.made = here && follows_changes(t) ? pg_text(now, row, NOW_MADE_AT) : NULL,
		.attached = pg_text(now, row, NOW_ATTACHED_AT),
	};

	*out = BROUGHT_NONE;
	return pg_bool(now, row, NOW_MADE_AS_PARTITION) || (here && session_by_name(s)) ||
	       attached_rows(s->source, &a, out, e);
}

static bool check_new(struct session *s, const struct table_plan *t, const struct pg_result *now,
		      unsigned row, bool *told, struct err *e)
{
	enum brought brought;

	if (!ask_what_it_brought(s, t, now, row, &brought, e))
		return false;
	*told &= brought != BROUGHT_UNTOLD;
	if (brought != BROUGHT_ROWS)
		return brought == BROUGHT_UNTOLD || add_row(s, t, now, row, e);
	return err_set(
	    e, ERR_CONFIG,
	    "%s was attached to %s while the migration ran: the stream did not carry the "
	    "rows it brought; abort and start again, or make partitions with CREATE "
	    "TABLE ... PARTITION OF and insert",
	    pg_text(now, row, NOW_NAME), t->label);
}

static bool check_table(struct session *s, const struct table_plan *t,
			const struct partitions_had *had, bool *told, struct err *e)
{
	struct pg_result *now = NULL;
	bool ok = load_now(s, t, &now, e);

	for (unsigned i = 0; ok && i < had->count; i++)
		if (strcmp(had->list[i].relation, t->label) == 0)
			ok = check_had(s, t, now, &had->list[i], e);
	for (unsigned i = 0; ok && i < pg_rows(now); i++)
		ok = check_in_stream(t, now, i, e) &&
		     (had_it(had, t->label, pg_text(now, i, NOW_OID)) ||
		      check_new(s, t, now, i, told, e));
	pg_result_free(now);
	return ok;
}

bool partitions_check(struct session *s, bool *told, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct partitions_had had = { 0 };
	bool ok = true;

	*told = true;
	for (unsigned i = 0; ok && i < s->plan->ntables; i++) {
		const struct table_plan *t = &s->plan->tables[i];
		if (!t->partitioned)
			continue;
		ok = had.list || ledger_partitions(s->target, s->migration->name, &scratch,
						   &had.list, &had.count, e);
		ok = ok && check_table(s, t, &had, told, e);
	}
	arena_finish(&scratch);
	return ok;
}
