/*
 * Where the copy's SELECT runs. At the source it saves a trip through a temporary table,
 * but there it must mean exactly what it means in the stream, at the target: PostgreSQL's
 * own functions and types only, the same encoding and collation, and outputs whose text
 * the target reads as an INSERT would have stored them.
 *
 * And how the values travel: in binary, which spares both servers most of the work of
 * writing and reading numbers and times, or as text where a type's binary form is not the
 * same everywhere.
 */
#include "transform/check.h"

#include "pg/conn.h"
#include "transform/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Each sets copy_why when it says no. */
static bool servers_agree(const struct check *c, struct flow *f)
{
	if (c->one_database)
		return true;
	if (strcmp(c->source.encoding, c->target.encoding) != 0)
		f->copy_why = "the two databases differ in encoding";
	else if (strcmp(c->source.collation, c->target.collation) != 0)
		f->copy_why = "the two databases differ in collation";
	return !f->copy_why;
}

static bool builtin_columns(struct check *c, struct flow *f)
{
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i] && !f->from->columns[i].builtin) {
			f->copy_why = arena_printf(
			    c->arena, "old column %s has type %s, which is not built in",
			    f->from->columns[i].name, f->from->columns[i].type);
			return false;
		}
	for (unsigned i = 0; i < f->query->noutputs; i++)
		if (!flow_target(f, i)->builtin) {
			f->copy_why = arena_printf(
			    c->arena, "new column %s has type %s, which is not built in",
			    flow_target(f, i)->name, flow_target(f, i)->type);
			return false;
		}
	return true;
}

/* Does an assignment turn the output's type into the column's, and both are built in? */
static bool assignable(struct check *c, const char *from, uint32_t to, bool *yes, struct err *e)
{
	char oid[16];
	const char *params[] = { from, oid };
	struct pg_result *r = NULL;

	snprintf(oid, sizeof oid, "%" PRIu32, to);
	bool ok = pg_query_row(c->source.pg,
			       "SELECT EXISTS (SELECT FROM pg_cast WHERE castsource = $1::oid "
			       "AND casttarget = $2::oid AND castcontext IN ('a', 'i') "
			       "AND oid < 16384)",
			       2, params, &r, e);
	*yes = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

static bool judge_types(struct check *c, struct flow *f, const struct pg_result *types,
			struct err *e)
{
	bool *casts = arena_array(c->arena, f->query->noutputs, sizeof *casts);

	f->copy_casts = casts;
	for (unsigned i = 0; f->at_source && i < f->query->noutputs; i++) {
		uint32_t target = flow_target(f, i)->type_oid;
		const char *type = pg_text(types, 0, i);
		casts[i] = strtoul(type, NULL, 10) != target;
		if (casts[i] && !assignable(c, type, target, &f->at_source, e))
			return false;
		if (!f->at_source)
			f->copy_why = arena_printf(
			    c->arena, "the type of output %s becomes %s by no built-in assignment",
			    f->query->outputs[i].name, flow_target(f, i)->type);
	}
	return true;
}

/* --- in which form the values travel --- */

static int by_oid(const void *a, const void *b)
{
	return (int)*(const uint32_t *)a - (int)*(const uint32_t *)b;
}

/*
 * Types whose binary form is the value itself, the same on every server: read back it passes
 * the same checks, lengths and roundings as its text. Not so composites and enums (oids),
 * reg* (oids for names), interval (infinity is new in 17 and would be taken for a number).
 */
static bool has_binary_form(uint32_t type_oid)
{
	static const uint32_t types[] = {
		16,   17,   18,   19,   20,   21,   23,   25,   26,   114,  650,
		700,  701,  774,  829,  869,  1000, 1001, 1005, 1007, 1009, 1014,
		1015, 1016, 1021, 1022, 1042, 1043, 1082, 1083, 1114, 1115, 1182,
		1184, 1185, 1231, 1266, 1560, 1562, 1700, 2950, 2951, 3802, 3807,
	};

	return bsearch(&type_oid, types, sizeof types / sizeof *types, sizeof *types, by_oid);
}

/* What travels are the outputs, or the columns read where the SELECT runs at the target. */
static bool all_binary(const struct flow *f)
{
	if (f->at_source) {
		for (unsigned i = 0; i < f->query->noutputs; i++)
			if (!has_binary_form(flow_target(f, i)->type_oid))
				return false;
		return true;
	}
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i] && !has_binary_form(f->from->columns[i].type_oid))
			return false;
	return true;
}

/* --- where the SELECT runs --- */

static bool choose_place(struct check *c, struct flow *f, bool builtin, struct err *e)
{
	struct pg_result *types = NULL;
	struct err refused = ERR_INIT;

	if (f->joins || f->lookup)
		f->copy_why = "the SELECT reads tables of the target, or adds to a lookup";
	else if (!builtin)
		f->copy_why = "the SELECT names functions, types or tables that are not built in";
	f->at_source = !f->joins && !f->lookup && builtin && servers_agree(c, f) &&
		       builtin_columns(c, f);
	if (!f->at_source)
		return true;
	f->copy_why = "the SELECT names built-in functions and types only, and both databases "
		      "agree on encoding and collation";
	bool ok = true;
	if (pg_query_row(c->source.pg, sql_output_types(c->arena, f), 0, NULL, &types, &refused))
		ok = judge_types(c, f, types, e);
	else if (refused.kind == ERR_RETRY)
		ok = err_set(e, ERR_RETRY, "%s", refused.text);
	else {
		f->at_source = false; /* the target's answer is the one that counts */
		f->copy_why = arena_printf(c->arena, "the source refuses it: %s", refused.text);
	}
	pg_result_free(types);
	return ok;
}

bool check_copy(struct check *c, struct flow *f, bool builtin, struct err *e)
{
	if (!choose_place(c, f, builtin, e))
		return false;
	f->copy_binary = !f->joins && !f->lookup && all_binary(f); /* the stage takes text */
	return true;
}
