#include "transform/check.h"

#include "pg/conn.h"
#include "pg/ledger.h"
#include "pg/quote.h"
#include "transform/sqlname.h"

/* --- the two tables --- */

static const char *persistence_name(char persistence)
{
	return persistence == 'u'   ? "an unlogged table"
	       : persistence == 't' ? "a temporary table"
				    : NULL;
}

static const char *kind_name(const struct catalog_table *t)
{
	switch (t->kind) {
	case 'r':
	case 'p':
		return persistence_name(t->persistence);
	case 'v':
		return "a view";
	case 'm':
		return "a materialized view";
	case 'f':
		return "a foreign table";
	default:
		return "not a table";
	}
}

static bool load(struct check *c, struct pg *pg, const struct table_name *name,
		 struct catalog_table **out, struct err *e)
{
	return catalog_table_load(pg, c->arena, name->schema, name->name, out, e);
}

/* Rows of a foreign or unlogged part would be copied and never followed. */
static bool check_parts(struct check *c, const struct flow *f, const struct catalog_table *t,
			struct place p)
{
	for (unsigned i = 0; i < t->nparts; i++) {
		const struct catalog_part *part = &t->parts[i];
		const char *kind = part->kind == 'f' ? "a foreign table"
						     : persistence_name(part->persistence);
		if (!kind)
			continue;
		check_fail_at(c, f->subject, p,
			      "partition %s.%s of %s.%s is %s, which is not supported; detach it "
			      "or make it a plain table",
			      part->schema, part->name, t->schema, t->name, kind);
		return false;
	}
	return true;
}

/* `SELECT ... FROM parent` shows the children's rows, a flow does not: say which is meant. */
static bool check_children(struct check *c, const struct flow *f, const struct catalog_table *t,
			   struct place p, bool is_source)
{
	if (t->kind != 'r' || !t->has_children || (is_source && f->def->only))
		return true;
	if (is_source)
		check_fail_at(c, f->subject, p,
			      "%s.%s has inheritance children, whose rows a flow from it would not "
			      "read; say only: true and give each child that is wanted a flow of "
			      "its own",
			      t->schema, t->name);
	else
		check_fail_at(c, f->subject, p,
			      "%s.%s has inheritance children, whose rows would be taken for its "
			      "own; name a table without",
			      t->schema, t->name);
	return false;
}

/* Is it there, and of a kind that can be followed and written? */
static bool usable(struct check *c, const struct flow *f, const struct catalog_table *t,
		   const struct table_name *name, bool is_source)
{
	struct place p = is_source ? f->def->from_place : f->def->to_place;
	const char *where = is_source ? "source" : "target";
	const char *kind = t ? kind_name(t) : NULL;

	if (!t)
		check_fail_at(c, f->subject, p, "there is no table %s.%s at the %s; %s",
			      name->schema, name->name, where,
			      is_source ? "correct the name" : "create it, or correct the name");
	else if (kind)
		check_fail_at(c, f->subject, p,
			      "%s.%s is %s, which is not supported yet; name a plain table",
			      name->schema, name->name, kind);
	else if (!t->ncolumns)
		check_fail_at(c, f->subject, p,
			      "%s.%s has no columns, so there is nothing to %s; name another table",
			      name->schema, name->name, is_source ? "read" : "write");
	else if (t->row_security)
		check_fail_at(c, f->subject, p,
			      "row security hides rows of %s.%s from this role; run with its owner "
			      "or a role with BYPASSRLS",
			      name->schema, name->name);
	return t && !kind && t->ncolumns && !t->row_security && check_parts(c, f, t, p) &&
	       check_children(c, f, t, p, is_source);
}

static void check_privileges(struct check *c, const struct flow *f)
{
	const struct catalog_table *s = f->from, *t = f->to;
	const char *missing = !t->may_insert   ? "INSERT"
			      : !t->may_update ? "UPDATE"
			      : !t->may_delete ? "DELETE"
			      : !t->may_select ? "SELECT"
					       : NULL;

	if (!s->may_select)
		check_fail_at(c, f->subject, f->def->from_place,
			      "no SELECT on %s.%s at the source; GRANT USAGE on the schema and "
			      "SELECT on the table",
			      s->schema, s->name);
	if (missing)
		check_fail_at(c, f->subject, f->def->to_place,
			      "no %s on %s.%s at the target; GRANT USAGE on the schema and SELECT, "
			      "INSERT, UPDATE, DELETE on the table",
			      missing, t->schema, t->name);
}

/* Ownership brings the privileges, unless somebody revoked them. */
static bool check_access(struct check *c, struct flow *f, struct err *e)
{
	unsigned failures = c->findings->failures;

	if (!check_owners(c, f, e))
		return false;
	if (c->findings->failures == failures)
		check_privileges(c, f);
	return true;
}

bool check_tables(struct check *c, struct flow *f, struct err *e)
{
	struct catalog_table *from = NULL, *to = NULL;

	if (!load(c, c->source.pg, &f->def->from, &from, e) ||
	    !load(c, c->target.pg, &f->def->to, &to, e))
		return false;
	f->from = from;
	f->to = to;
	bool ok = usable(c, f, from, &f->def->from, true);
	ok = usable(c, f, to, &f->def->to, false) && ok;
	if (ok && c->one_database && from->oid == to->oid)
		check_fail_at(c, f->subject, f->def->to_place,
			      "from and to are the same table; a flow writes another one");
	else if (ok)
		return check_access(c, f, e);
	return true;
}

/* --- outputs --- */

static void unknown_target(struct check *c, const struct flow *f, const struct query_output *o)
{
	const char *near = catalog_column_near(c->arena, f->to, o->name);

	if (near)
		check_fail_select(c, f, o->at, "%s.%s has no column \"%s\"; did you mean \"%s\"?",
				  f->to->schema, f->to->name, o->name, near);
	else
		check_fail_select(c, f, o->at,
				  "%s.%s has no column \"%s\"; name one that it has with AS",
				  f->to->schema, f->to->name, o->name);
}

static bool named_in_key(const struct flow *f, const char *name)
{
	for (unsigned i = 0; i < f->def->key.count; i++)
		if (strcmp(f->def->key.names[i], name) == 0)
			return true;
	return false;
}

static void check_output(struct check *c, const struct flow *f, const struct query_output *o,
			 const struct catalog_column *t)
{
	if (t->generated)
		check_fail_select(c, f, o->at,
				  "\"%s\" is a generated column of %s.%s, the target computes it; "
				  "leave it out of the SELECT",
				  o->name, f->to->schema, f->to->name);
	else if (t->identity == 'a' && f->def->key.count && !named_in_key(f, o->name))
		check_fail_select(c, f, o->at,
				  "\"%s\" of %s.%s is GENERATED ALWAYS, so no UPDATE may set it; "
				  "run: ALTER TABLE %s ALTER COLUMN %s SET GENERATED BY DEFAULT;",
				  o->name, f->to->schema, f->to->name,
				  arena_qualified(c->arena, f->to->schema, f->to->name),
				  arena_ident(c->arena, o->name));
}

/* A column that nobody fills must be able to stay empty. */
static void check_unfilled(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; i < f->to->ncolumns; i++) {
		const struct catalog_column *t = &f->to->columns[i];
		bool filled = query_output_find(f->query, t->name) < f->query->noutputs;
		if (!filled && t->not_null && !t->has_default && !t->identity &&
		    !named_in_key(f, t->name)) /* check_key says it better */
			check_fail_at(
			    c, f->subject, f->def->select_lies.first,
			    "\"%s\" of %s.%s is NOT NULL without a default and the SELECT "
			    "does not fill it; add an output AS %s",
			    t->name, f->to->schema, f->to->name, arena_ident(c->arena, t->name));
	}
}

bool check_outputs(struct check *c, struct flow *f, struct err *e)
{
	unsigned failures = c->findings->failures;
	unsigned *columns = arena_array(c->arena, f->query->noutputs, sizeof *columns);

	(void)e;
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		const struct query_output *o = &f->query->outputs[i];
		columns[i] = catalog_column_find(f->to, o->name);
		if (columns[i] == f->to->ncolumns)
			unknown_target(c, f, o);
		else
			check_output(c, f, o, &f->to->columns[columns[i]]);
	}
	f->columns = columns;
	if (c->findings->failures == failures)
		check_unfilled(c, f);
	return true;
}

/* --- key --- */

/* A list of outputs in the file. */
struct named {
	const char *word;
	const struct name_list *names;
	struct place place;
};

static void unknown_key(struct check *c, const struct flow *f, const struct named *n,
			const char *name)
{
	const char **names = arena_array(c->arena, f->query->noutputs, sizeof(void *));

	for (unsigned i = 0; i < f->query->noutputs; i++)
		names[i] = f->query->outputs[i].name;
	const char *near = nearest_name(name, names, f->query->noutputs);
	if (near)
		check_fail_at(c, f->subject, n->place,
			      "%s column \"%s\" is not among the SELECT's outputs; did you mean "
			      "\"%s\"?",
			      n->word, name, near);
	else
		check_fail_at(c, f->subject, n->place,
			      "%s column \"%s\" is not among the SELECT's outputs; add it, or name "
			      "the %s by outputs",
			      n->word, name, n->word);
}

static bool find_outputs(struct check *c, const struct flow *f, const struct named *n,
			 const unsigned **out)
{
	unsigned *list = arena_array(c->arena, n->names->count, sizeof *list);
	bool ok = true;

	for (unsigned i = 0; i < n->names->count; i++) {
		list[i] = query_output_find(f->query, n->names->names[i]);
		if (list[i] < f->query->noutputs)
			continue;
		ok = false;
		unknown_key(c, f, n, n->names->names[i]);
	}
	*out = list;
	return ok;
}

/* Key and owner; the rows of an old row are found by the owner where there is one. */
static bool find_key(struct check *c, struct flow *f)
{
	struct named key = { "key", &f->def->key, f->def->key_place };
	struct named owner = { "owner", &f->def->owner, f->def->owner_place };
	const unsigned *owners;

	if (!find_outputs(c, f, &key, &f->key) || !find_outputs(c, f, &owner, &owners))
		return false;
	f->found = f->owned ? owners : f->key;
	f->nfound = f->owned ? owner.names->count : f->lookup ? 0 : key.names->count;
	return true;
}

static bool covers(const struct flow *f, const struct catalog_index *index)
{
	unsigned found = 0;

	for (unsigned i = 0; i < index->ncolumns; i++)
		for (unsigned k = 0; k < f->def->key.count; k++)
			found += f->columns[f->key[k]] == index->columns[i];
	return index->exact && found == index->ncolumns && found == f->def->key.count;
}

static const char *key_list(struct arena *a, const struct flow *f)
{
	const char *list = "";

	for (unsigned i = 0; i < f->def->key.count; i++)
		list = arena_printf(a, "%s%s%s", list, i ? ", " : "",
				    arena_ident(a, f->def->key.names[i]));
	return list;
}

static void check_never_null(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; i < f->def->key.count; i++) {
		const struct catalog_column *t = flow_target(f, f->key[i]);
		if (!t->not_null)
			check_fail_at(
			    c, f->subject, f->def->key_place,
			    "key column \"%s\" of %s.%s may be NULL, and NULL never equals NULL, so "
			    "its row cannot be found; run: ALTER TABLE %s ALTER COLUMN %s SET NOT "
			    "NULL;",
			    t->name, f->to->schema, f->to->name,
			    arena_qualified(c->arena, f->to->schema, f->to->name),
			    arena_ident(c->arena, t->name));
	}
}

static void check_unique(struct check *c, const struct flow *f)
{
	if (f->key_away || f->def->key.count == 0)
		return;
	check_never_null(c, f);
	for (unsigned i = 0; i < f->to->nindexes; i++)
		if (covers(f, &f->to->indexes[i]))
			return;
	const char *list = key_list(c->arena, f);
	check_fail_at(
	    c, f->subject, f->def->key_place,
	    "%s.%s has no unique index on exactly (%s), not partial and not deferrable, so "
	    "rows cannot be found by it; run: CREATE UNIQUE INDEX ON %s (%s);",
	    f->to->schema, f->to->name, list, arena_qualified(c->arena, f->to->schema, f->to->name),
	    list);
}

/* Owner columns that are not in the key name no row by themselves, but no row without. */
static void check_owner_null(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; f->owned && i < f->nfound; i++) {
		const struct catalog_column *t = flow_target(f, f->found[i]);
		if (!t->not_null)
			check_fail_at(
			    c, f->subject, f->def->owner_place,
			    "owner column \"%s\" of %s.%s may be NULL, and NULL never "
			    "equals NULL, so its rows cannot be found; run: ALTER TABLE %s "
			    "ALTER COLUMN %s SET NOT NULL;",
			    t->name, f->to->schema, f->to->name,
			    arena_qualified(c->arena, f->to->schema, f->to->name),
			    arena_ident(c->arena, t->name));
	}
}

/* The outputs that name one row: the key's, and the owner's. */
static unsigned name_row(struct check *c, const struct flow *f, const unsigned **out)
{
	unsigned *list = arena_array(c->arena, f->def->key.count + f->nfound, sizeof *list);
	unsigned n = 0;

	for (unsigned i = 0; i < f->def->key.count; i++)
		list[n++] = f->key[i];
	for (unsigned i = 0; f->owned && i < f->nfound; i++)
		if (!flow_in_key(f, f->found[i]))
			list[n++] = f->found[i];
	*out = list;
	return n;
}

/* The SELECT for the key (or owner) alone, with and without the filter. */
static void narrow(struct check *c, struct flow *f)
{
	const unsigned *row;
	unsigned nrow = name_row(c, f, &row);
	const char *word = flow_found_word(f);

	f->key_select = query_narrow(c->arena, f->query, f->nfound, f->found, false, &f->key_reads);
	f->row_select = query_narrow(c->arena, f->query, nrow, row, true, &f->row_reads);
	bool reads = false;
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		reads |= f->key_reads.column[i];
	if (!f->key_select || !f->row_select)
		check_fail_at(c, f->subject, flow_found_place(f),
			      "the %s's expressions cannot be taken out of the SELECT; write them "
			      "more plainly",
			      word);
	else if (!reads)
		check_fail_at(c, f->subject, flow_found_place(f),
			      "the %s reads no column of old, so all rows would share it; make it "
			      "of columns that identify the row",
			      word);
}

/* Has the row values that no output fills: a sequence's, or others? */
static void look_at_unfilled(struct flow *f)
{
	for (unsigned i = 0; i < f->to->ncolumns; i++) {
		const struct catalog_column *t = &f->to->columns[i];
		if (query_output_find(f->query, t->name) < f->query->noutputs || t->generated)
			continue;
		f->unfilled = true;
		f->generates |= t->sequence != NULL;
	}
	f->moves = f->unfilled && !f->owned && !f->lookup && f->nfound && !f->def->insert_only &&
		   !flow_key_fixed(f);
}

bool check_key(struct check *c, struct flow *f, struct err *e)
{
	unsigned failures = c->findings->failures;

	if (!find_key(c, f))
		return true;
	if (!f->lookup && !ledger_key_away(c->target.pg, f->to->oid, &f->key_away, e))
		return false;
	check_unique(c, f);
	check_owner_null(c, f);
	look_at_unfilled(f);
	if (c->findings->failures == failures && f->nfound)
		narrow(c, f);
	return true;
}
