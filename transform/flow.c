#include "transform/flow.h"

bool flow_keeps_column(const struct flow *f, unsigned column)
{
	return f->from->columns[column].toastable && !f->whole &&
	       !catalog_in_key(f->from, column) && !f->def->insert_only;
}

unsigned flow_kept_column(const struct flow *f, unsigned output)
{
	unsigned i = 0;

	while (i < f->from->ncolumns &&
	       !(f->query->outputs[output].reads.column[i] && flow_keeps_column(f, i)))
		i++;
	return i;
}

bool flow_is_found(const struct flow *f, unsigned output)
{
	for (unsigned i = 0; i < f->nfound; i++)
		if (f->found[i] == output)
			return true;
	return false;
}

const char *flow_found_word(const struct flow *f)
{
	return f->owned ? "owner" : "key";
}

struct place flow_found_place(const struct flow *f)
{
	return f->owned ? f->def->owner_place : f->def->key_place;
}

bool flow_in_key(const struct flow *f, unsigned output)
{
	for (unsigned i = 0; i < f->def->key.count; i++)
		if (f->key[i] == output)
			return true;
	return false;
}

bool flow_key_fixed(const struct flow *f)
{
	for (unsigned i = 0; i < f->def->key.count; i++)
		if (flow_target(f, f->key[i])->identity == 'a')
			return true;
	for (unsigned i = 0; i < f->nfound; i++)
		if (flow_target(f, f->found[i])->identity == 'a')
			return true;
	return false;
}

const struct catalog_column *flow_target(const struct flow *f, unsigned output)
{
	return &f->to->columns[f->columns[output]];
}
