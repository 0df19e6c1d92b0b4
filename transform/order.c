#include "transform/order.h"

struct graph {
	struct arena *arena;
	struct flow *flows;
	unsigned nflows;
	const struct catalog_reference *edges; /* foreign keys, then tables that SELECTs read */
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

static bool seen_table(const struct graph *g, const bool *seen, uint32_t table)
{
	for (unsigned i = 0; i < g->nflows; i++)
		if (g->flows[i].to->oid == table)
			return seen[i];
	return false;
}

/* True when that was new. */
static bool see(const struct graph *g, bool *seen, uint32_t table)
{
	bool new = false;

	for (unsigned i = 0; i < g->nflows; i++) {
		if (g->flows[i].to->oid != table || seen[i])
			continue;
		seen[i] = new = true;
	}
	return new;
}

/* Does one table refer to the other, through others maybe? */
static bool leads_to(const struct graph *g, uint32_t from, uint32_t to)
{
	bool *seen = arena_array(g->arena, g->nflows, sizeof *seen);
	bool more = see(g, seen, from);

	while (more) {
		more = false;
		for (unsigned i = 0; i < g->nedges; i++)
			if (g->edges[i].parent && seen_table(g, seen, g->edges[i].child))
				more = see(g, seen, g->edges[i].parent) || more;
	}
	return seen_table(g, seen, to);
}

/*
 * Tables that refer to each other in a circle have no order. They need none: while the
 * stream runs foreign keys are checked at the commit.
 */
static bool counts(const struct graph *g, const struct catalog_reference *r)
{
	return r->parent && r->parent != r->child && writes(g, r->child) && writes(g, r->parent) &&
	       !leads_to(g, r->parent, r->child);
}

/* One pass over the edges: children above their parents. True when something moved. */
static bool raise_children(struct graph *g, const bool *counted)
{
	bool moved = false;

	for (unsigned i = 0; i < g->nedges; i++) {
		const struct catalog_reference *r = &g->edges[i];
		if (!counted[i] || rank_of(g, r->child) > rank_of(g, r->parent))
			continue;
		set_rank(g, r->child, rank_of(g, r->parent) + 1);
		moved = true;
	}
	return moved;
}

/* A table that a SELECT reads is written before what it makes. */
static void add_reads(struct check *c, struct graph *g)
{
	unsigned room = g->nedges;

	for (unsigned i = 0; i < g->nflows; i++)
		room += g->flows[i].query->relations.count;
	struct catalog_reference *all = arena_array(c->arena, room, sizeof *all);
	if (g->nedges)
		memcpy(all, g->edges, g->nedges * sizeof *all);
	for (unsigned i = 0; i < g->nflows; i++) {
		const struct flow *f = &g->flows[i];
		for (unsigned k = 0; k < f->query->relations.count; k++)
			all[g->nedges++] = (struct catalog_reference){
				.child = f->to->oid,
				.parent = f->relations[k],
				.name = arena_printf(c->arena, "the SELECT of %s", f->subject),
			};
	}
	g->edges = all;
}

bool order_flows(struct check *c, struct flow *flows, unsigned nflows, struct plan *plan,
		 struct err *e)
{
	struct catalog_reference *edges = NULL;
	struct graph g = { .arena = c->arena, .flows = flows, .nflows = nflows };

	if (!catalog_references_load(c->target.pg, c->arena, &edges, &g.nedges, e))
		return false;
	g.edges = edges;
	add_reads(c, &g);
	bool *counted = arena_array(c->arena, g.nedges, sizeof *counted);
	for (unsigned i = 0; i < g.nedges; i++)
		counted[i] = counts(&g, &g.edges[i]);
	while (raise_children(&g, counted))
		; /* without circles it ends */
	for (unsigned i = 0; i < nflows; i++)
		if (flows[i].plan->rank > plan->max_rank)
			plan->max_rank = flows[i].plan->rank;
	return true;
}
