/*
 * cli/plan.h: an outlook in two forms.
 */
#ifndef PGCROSSFADE_CLI_PLAN_H
#define PGCROSSFADE_CLI_PLAN_H

#include "service/outlook.h"

void plan_print_text(const struct outlook *o, struct arena *a);
void plan_print_json(const struct outlook *o, struct arena *a);

/* What one statement of a flow is for, and its text; a chunk's predicate is <chunk>. */
struct plan_statement {
	const char *name, *sql;
};

enum { PLAN_STATEMENTS = 12 };

/* Those that the flow has, in the order in which they are first sent. */
unsigned plan_statements(const struct plan *p, const struct flow_plan *f, struct arena *a,
			 struct plan_statement out[PLAN_STATEMENTS]);

/* source, target or inside: where the SELECT runs while copying. */
const char *plan_select_runs(const struct plan *p, const struct flow_plan *f);

#endif
