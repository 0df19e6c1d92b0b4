#include "core/plan.h"

#include <string.h>

static bool has_part(const struct table_plan *t, const char *schema, const char *name)
{
	for (unsigned i = 0; i < t->nparts; i++)
		if (strcmp(t->parts[i].schema, schema) == 0 && strcmp(t->parts[i].name, name) == 0)
			return true;
	return false;
}

struct table_plan *plan_table(const struct plan *p, const char *schema, const char *name)
{
	for (unsigned i = 0; i < p->ntables; i++) {
		struct table_plan *t = &p->tables[i];
		if ((strcmp(t->schema, schema) == 0 && strcmp(t->name, name) == 0) ||
		    has_part(t, schema, name))
			return t;
	}
	return NULL;
}

void plan_add_part(struct plan *p, struct table_plan *t, const char *schema, const char *name)
{
	struct plan_part *parts = arena_array(p->arena, t->nparts + 1, sizeof *parts);

	for (unsigned i = 0; i < t->nparts; i++)
		parts[i] = t->parts[i];
	parts[t->nparts++] =
	    (struct plan_part){ arena_strdup(p->arena, schema), arena_strdup(p->arena, name) };
	t->parts = parts;
}
