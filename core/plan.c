#include "core/plan.h"

#include <string.h>

struct table_plan *plan_table(const struct plan *p, const char *schema, const char *name)
{
	for (unsigned i = 0; i < p->ntables; i++)
		if (strcmp(p->tables[i].schema, schema) == 0 &&
		    strcmp(p->tables[i].name, name) == 0)
			return &p->tables[i];
	return NULL;
}
