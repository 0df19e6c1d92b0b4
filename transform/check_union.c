/* Flows among each other: of one old table, and into one new table. */
#include "transform/check.h"

/* What is published of a table is one decision for all its flows. */
void check_agreement(struct check *c, const struct flow *flows)
{
	for (unsigned i = 0; i < c->m->nflows; i++)
		for (unsigned k = 0; k < i; k++)
			if (flows[i].from->oid == flows[k].from->oid &&
			    flows[i].def->insert_only != flows[k].def->insert_only) {
				check_fail_at(c, flows[i].subject, flows[i].def->place,
					      "insert_only differs from the flow at line %u, which "
					      "reads the same table; say the same in both",
					      flows[k].def->place.line);
				return;
			}
}

/* char(n) takes no account of blanks at the end, and varchar(n) drops those over its length. */
static bool same_but_blanks(const char *x, const char *y)
{
	size_t nx = strlen(x), ny = strlen(y);

	while (nx && x[nx - 1] == ' ')
		nx--;
	while (ny && y[ny - 1] == ' ')
		ny--;
	return nx == ny && memcmp(x, y, nx) == 0;
}

/* Two literals that the column cannot hold as one value: '1' and '01' may be one integer. */
static bool differ(const char *x, const char *y, const struct catalog_column *c)
{
	bool text = x && *x == '\'', other = y && *y == '\'';

	return x && y && text == other && !same_but_blanks(x, y) && c->exact &&
	       (!text || catalog_is_text(c));
}

/* A column by which both find their rows, filled with a literal, each with its own. */
static bool told_apart(const struct flow *a, const struct flow *b)
{
	for (unsigned i = 0; i < a->nfound; i++) {
		const struct query_output *x = &a->query->outputs[a->found[i]];
		unsigned y = query_output_find(b->query, x->name);
		if (y < b->query->noutputs && flow_is_found(b, y) &&
		    differ(x->constant, b->query->outputs[y].constant, flow_target(a, a->found[i])))
			return true;
	}
	return false;
}

/* Two flows out of one row must not write under one key: each would undo the other. */
static void fail_same_source(struct check *c, const struct flow *f, const struct flow *other)
{
	check_fail_at(c, f->subject, f->def->place,
		      "the flow at line %u writes the same table from the same table, and their "
		      "rows may share a key; fill a key column of each with a literal of its own, "
		      "not cast",
		      other->def->place.line);
}

/* Nor may an owner's rows hold those of another table's owner of the same value. */
static void fail_same_owner(struct check *c, const struct flow *f, const struct flow *other)
{
	check_fail_at(
	    c, f->subject, f->def->place,
	    "the flow at line %u writes the same table, and an owner of one may be called "
	    "as an owner or key of the other; fill an owner column of each (and the key "
	    "column of a flow without owner) with a literal of its own, not cast",
	    other->def->place.line);
}

static void check_pair(struct check *c, const struct flow *f, const struct flow *other)
{
	if (f->to->oid != other->to->oid || f->lookup || other->lookup || told_apart(f, other))
		return;
	if (f->from->oid == other->from->oid && (f->nfound || other->nfound))
		fail_same_source(c, f, other);
	else if (f->owned || other->owned)
		fail_same_owner(c, f, other);
}

/* The rows of one old table are cleared together; those of others must be told from them. */
static bool clears_exactly(const struct check *c, const struct flow *flows, const struct flow *f)
{
	for (unsigned i = 0; !f->lookup && i < c->m->nflows; i++)
		if (flows[i].to->oid == f->to->oid && flows[i].from->oid != f->from->oid &&
		    !told_apart(f, &flows[i]))
			return false;
	return true;
}

void check_union(struct check *c, const struct flow *flows)
{
	for (unsigned i = 0; i < c->m->nflows; i++) {
		for (unsigned k = 0; k < i; k++)
			check_pair(c, &flows[i], &flows[k]);
		flows[i].plan->sole = clears_exactly(c, flows, &flows[i]);
	}
}
