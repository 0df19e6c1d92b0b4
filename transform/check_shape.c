/*
 * How many rows an old row makes, and what beside it they are made of: one row of one,
 * several (owner), or rows that are only added (lookup).
 */
#include "transform/check.h"

#include "pg/conn.h"

static const struct query_item *many_item(const struct flow *f)
{
	for (unsigned i = 0; i < f->query->nitems; i++)
		if (f->query->items[i].many)
			return &f->query->items[i];
	return NULL;
}

static const char *item_text(struct check *c, const struct query_item *item)
{
	return item->name ? arena_printf(c->arena, "\"%s\"", item->name) : "an item of FROM";
}

static void check_lookup(struct check *c, const struct flow *f)
{
	if (f->def->owner.count)
		check_fail_at(c, f->subject, f->def->owner_place,
			      "a SELECT DISTINCT fills a lookup table, whose rows belong to no old "
			      "row; remove owner, or DISTINCT");
	else if (f->def->key.count < f->query->noutputs)
		check_fail_at(
		    c, f->subject, f->def->key.count ? f->def->key_place : f->def->place,
		    "a SELECT DISTINCT fills a lookup table: rows are only added, never "
		    "changed, so its key must be all of its outputs; name them all as key, "
		    "or leave the others out");
}

static void check_owner(struct check *c, const struct flow *f)
{
	const struct query_item *many = many_item(f);

	if (many && !f->def->owner.count)
		check_fail_select(
		    c, f, many->at,
		    "%s may give several rows of one old row; name the columns of the "
		    "new table that identify the old row, as owner: [...], or let it "
		    "give one row (LIMIT 1, or a sub-SELECT among the outputs)",
		    item_text(c, many));
	else if (!many && f->def->owner.count && f->query->relations.count == 0)
		check_fail_at(
		    c, f->subject, f->def->owner_place,
		    "owner is for flows that make several rows of one, and nothing in FROM "
		    "could; remove it");
}

static const char relation_sql[] =
    "SELECT c.oid, c.relkind IN ('r', 'p'), row_security_active(c.oid),"
    " has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2";

static void judge_relation(struct check *c, const struct flow *f, const struct query_name *n,
			   const struct pg_result *r)
{
	if (pg_rows(r) == 0)
		check_fail_select(
		    c, f, n->at,
		    "there is no table %s.%s at the target; create it, or correct the "
		    "name",
		    n->schema, n->name);
	else if (!pg_bool(r, 0, 1))
		check_fail_select(
		    c, f, n->at,
		    "%s.%s is not a table, so it cannot be told what it reads; join the "
		    "tables themselves",
		    n->schema, n->name);
	else if (!pg_bool(r, 0, 3))
		check_fail_select(c, f, n->at,
				  "no SELECT on %s.%s at the target; GRANT USAGE on the schema and "
				  "SELECT on the table",
				  n->schema, n->name);
	else if (pg_bool(r, 0, 2))
		check_fail_select(c, f, n->at,
				  "row security hides rows of %s.%s from this role; run with its "
				  "owner or a role with BYPASSRLS",
				  n->schema, n->name);
}

static bool check_relations(struct check *c, struct flow *f, struct err *e)
{
	const struct query_names *names = &f->query->relations;

	f->relations = arena_array(c->arena, names->count, sizeof *f->relations);
	for (unsigned i = 0; i < names->count; i++) {
		const char *params[] = { names->names[i].schema, names->names[i].name };
		struct pg_result *r = NULL;
		if (!pg_query(c->target.pg, relation_sql, 2, params, &r, e))
			return false;
		judge_relation(c, f, &names->names[i], r);
		f->relations[i] = pg_rows(r) ? (uint32_t)pg_int(r, 0, 0) : 0;
		pg_result_free(r);
	}
	return true;
}

bool check_shape(struct check *c, struct flow *f, struct err *e)
{
	f->lookup = f->query->distinct;
	f->owned = !f->lookup && f->def->owner.count > 0;
	f->joins = f->query->relations.count > 0;
	if (f->lookup)
		check_lookup(c, f);
	else
		check_owner(c, f);
	return check_relations(c, f, e);
}

/* --- flows among each other --- */

/* Who fills a table that a SELECT reads. */
struct writers {
	const struct flow *other; /* one that does more than add, or f itself */
	const struct flow *lookup, *same_source;
	bool old; /* it is one of the old tables */
};

static struct writers find_writers(const struct check *c, const struct flow *flows,
				   const struct flow *f, uint32_t oid)
{
	struct writers w = { 0 };

	for (unsigned i = 0; i < c->m->nflows; i++) {
		const struct flow *g = &flows[i];
		w.old |= c->one_database && g->from->oid == oid;
		if (g->to->oid != oid)
			continue;
		if (!g->lookup || g == f)
			w.other = g;
		else
			w.lookup = g;
		if (g->lookup && g != f && g->from->oid == f->from->oid)
			w.same_source = g;
	}
	return w;
}

static void judge_read(struct check *c, const struct flow *f, const struct query_name *n,
		       const struct writers *w)
{
	if (w->old)
		check_fail_select(
		    c, f, n->at,
		    "%s.%s is an old table, which changes while the migration runs; join "
		    "a table that a lookup flow fills from it",
		    n->schema, n->name);
	else if (w->other)
		check_fail_select(
		    c, f, n->at,
		    "%s.%s is written by the flow at line %u, which changes its rows "
		    "later than this one reads them; join only tables that lookup flows "
		    "(SELECT DISTINCT) fill, or no flow",
		    n->schema, n->name, w->other->def->place.line);
	else if (w->lookup && !w->same_source)
		check_fail_select(
		    c, f, n->at,
		    "%s.%s is filled from %s.%s only, so a row of %s.%s could be read "
		    "before its value is there; add a flow from %s.%s to %s.%s with SELECT "
		    "DISTINCT",
		    n->schema, n->name, w->lookup->from->schema, w->lookup->from->name,
		    f->from->schema, f->from->name, f->from->schema, f->from->name, n->schema,
		    n->name);
	else if (!w->lookup)
		check_warn(
		    c, f->subject,
		    "the SELECT reads %s.%s, which no flow writes; see that it does not change "
		    "while the migration runs",
		    n->schema, n->name);
}

/* A lookup table's rows must stay, whatever other flows do. */
static void check_mixture(struct check *c, const struct flow *flows, const struct flow *f)
{
	for (unsigned i = 0; f->lookup && i < c->m->nflows; i++)
		if (flows[i].to->oid == f->to->oid && !flows[i].lookup)
			check_fail_at(
			    c, f->subject, f->def->place,
			    "the flow at line %u writes %s.%s too, and not as a lookup; a "
			    "lookup table is filled by SELECT DISTINCT alone",
			    flows[i].def->place.line, f->to->schema, f->to->name);
}

void check_reads(struct check *c, const struct flow *flows)
{
	for (unsigned i = 0; i < c->m->nflows; i++) {
		const struct flow *f = &flows[i];
		check_mixture(c, flows, f);
		for (unsigned k = 0; k < f->query->relations.count; k++) {
			struct writers w = find_writers(c, flows, f, f->relations[k]);
			bool again = false;
			for (unsigned m = 0; m < k; m++)
				again |= f->relations[m] == f->relations[k];
			if (!again)
				judge_read(c, f, &f->query->relations.names[k], &w);
		}
	}
}
