#include "transform/order.h"

struct graph {
	struct flow *flows;
	unsigned nflows;
	const struct catalog_reference *edges;
	unsigned nedges;
};

static bool writes(const struct graph *g, uint32_t table)
{
	for (unsigned i = 0; i < g->nflows; i++)
		if (g->flows[i].to->oid == table)
			return true;
	return false;
}

static unsigned rank_of(const struct graph *g, uint32_t table)
{
	unsigned rank = 0;

	for (unsigned i = 0; i < g->nflows; i++)
		if (g->flows[i].to->oid == table)
			rank = g->flows[i].plan->rank;
	return rank;
}

static void set_rank(struct graph *g, uint32_t table, unsigned rank)
{
	for (unsigned i = 0; i < g->nflows; i++)
		if (g->flows[i].to->oid == table)
			g->flows[i].plan->rank = rank;
}

/* One pass over the edges: children above their parents. True when something moved. */
static bool raise_children(struct graph *g, bool with_deferrable)
{
	bool moved = false;

	for (unsigned i = 0; i < g->nedges; i++) {
		const struct catalog_reference *r = &g->edges[i];
		bool counts = r->parent && r->parent != r->child &&
			      (with_deferrable || !r->deferrable) && writes(g, r->child) &&
			      writes(g, r->parent);
		if (!counts || rank_of(g, r->child) > rank_of(g, r->parent))
			continue;
		set_rank(g, r->child, rank_of(g, r->parent) + 1);
		moved = true;
	}
	return moved;
}

/* False when the edges go in a circle. */
static bool settle(struct graph *g, bool with_deferrable)
{
	for (unsigned i = 0; i < g->nflows; i++)
		g->flows[i].plan->rank = 0;
	for (unsigned pass = 0; pass <= g->nflows; pass++)
		if (!raise_children(g, with_deferrable))
			return true;
	return false;
}

static void fail_cycle(struct check *c, const struct graph *g)
{
	for (unsigned i = 0; i < g->nedges; i++) {
		const struct catalog_reference *r = &g->edges[i];
		if (r->parent && r->parent != r->child && !r->deferrable && writes(g, r->child) &&
		    rank_of(g, r->child) <= rank_of(g, r->parent)) {
			finding_add(c->findings, c->arena, FINDING_FAIL, c->target.subject,
				    "foreign keys of the new tables go in a circle, through %s; no "
				    "order of writing satisfies them; make one of them DEFERRABLE",
				    r->name);
			return;
		}
	}
}

static void warn_self(struct check *c, const struct graph *g)
{
	for (unsigned i = 0; i < g->nedges; i++)
		if (g->edges[i].parent == g->edges[i].child && !g->edges[i].deferrable &&
		    writes(g, g->edges[i].child))
			finding_add(
			    c->findings, c->arena, FINDING_WARN, c->target.subject,
			    "foreign key %s refers to its own table and is not deferrable; "
			    "the copy may meet a child before its parent; make it DEFERRABLE "
			    "or add it after the copy",
			    g->edges[i].name);
}

bool order_flows(struct check *c, struct flow *flows, unsigned nflows, struct plan *plan,
		 struct err *e)
{
	struct catalog_reference *edges = NULL;
	struct graph g = { .flows = flows, .nflows = nflows };

	if (!catalog_references_load(c->target.pg, c->arena, &edges, &g.nedges, e))
		return false;
	g.edges = edges;
	if (!settle(&g, true) && !settle(&g, false))
		fail_cycle(c, &g);
	warn_self(c, &g);
	for (unsigned i = 0; i < nflows; i++)
		if (flows[i].plan->rank > plan->max_rank)
			plan->max_rank = flows[i].plan->rank;
	return true;
}
