/*
 * The stream sends the new row whole but for long values that did not change, and of the
 * old row only the replica identity. What a flow needs beyond that must be asked for
 * before anything starts.
 */
#include "transform/check.h"

#include "core/buf.h"
#include "pg/conn.h"
#include "pg/quote.h"
#include "transform/sql.h"
#include "transform/tables.h"

static const char *source_table(struct check *c, const struct flow *f)
{
	return arena_qualified(c->arena, f->from->schema, f->from->name);
}

/* Each partition has a replica identity of its own; the root's counts for nothing. */
static const char *full_parts_sql(struct check *c, const struct flow *f)
{
	enum { SHOWN = 3 };
	const char *list = "";
	unsigned shown = 0, left = 0;

	for (unsigned i = 0; i < f->from->nparts; i++) {
		const struct catalog_part *p = &f->from->parts[i];
		if (p->replica_identity == 'f')
			continue;
		if (shown++ < SHOWN)
			list = arena_printf(c->arena, "%s%sALTER TABLE %s REPLICA IDENTITY FULL;",
					    list, *list ? " " : "",
					    arena_qualified(c->arena, p->schema, p->name));
		else
			left++;
	}
	return left ? arena_printf(c->arena, "%s and so for %u more partitions", list, left) : list;
}

static const char *full_sql(struct check *c, const struct flow *f)
{
	if (f->from->nparts)
		return full_parts_sql(c, f);
	return arena_printf(c->arena, "ALTER TABLE %s REPLICA IDENTITY FULL;", source_table(c, f));
}

/* "a", "b": the columns of a set that pass a test; "" for none. */
static const char *list_columns(struct check *c, const struct flow *f, const bool *set,
				bool (*test)(const struct flow *, unsigned))
{
	struct buf b = BUF_INIT;

	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		if (!set[i] || !test(f, i))
			continue;
		buf_printf(&b, "%s\"%s\"", b.len ? ", " : "", f->from->columns[i].name);
	}
	return sql_text(c->arena, &b);
}

static bool outside_identity(const struct flow *f, unsigned column)
{
	return !catalog_in_identity(f->from, column);
}

/* Without key a row is found by all it holds; with one, by what its key reads. */
static void check_identity(struct check *c, const struct flow *f)
{
	const char *none =
	    f->from->replica_identity != 'f' && !catalog_identity(f->from)
		? "has no replica identity, so an UPDATE or DELETE on it would fail once "
		  "it is published"
		: NULL;
	const char *missing = f->nfound ? list_columns(c, f, f->key_reads.column, outside_identity)
					: "";

	if (f->def->insert_only) /* pgoutput is not even told of the others */
		finding_add(c->findings, c->arena, FINDING_WARN, f->subject,
			    "insert_only: an UPDATE or DELETE on %s.%s would not be followed, nor "
			    "noticed; leave insert_only out if there can be one",
			    f->from->schema, f->from->name);
	else if (none)
		check_fail_at(
		    c, f->subject, f->def->from_place,
		    "%s.%s %s; run: %s or say insert_only: true if it is only inserted into",
		    f->from->schema, f->from->name, none, full_sql(c, f));
	else if (*missing)
		check_fail_at(c, f->subject, flow_found_place(f),
			      "the %s reads %s, which is not in the replica identity of %s.%s, so "
			      "the row of a DELETE cannot be found; run: %s",
			      flow_found_word(f), missing, f->from->schema, f->from->name,
			      full_sql(c, f));
	else if (!f->nfound && !f->lookup && f->from->replica_identity != 'f')
		check_fail_at(
		    c, f->subject, f->def->from_place,
		    "the flow has no key, so a row is found again only by all its columns; "
		    "give it a key, or run: %s",
		    full_sql(c, f));
}

static unsigned count_reads(const struct flow *f, const bool *set)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		n += set[i];
	return n;
}

static void check_mixed(struct check *c, const struct flow *f)
{
	for (unsigned i = 0; i < f->query->noutputs; i++) {
		const struct query_output *o = &f->query->outputs[i];
		unsigned kept = flow_kept_column(f, i);
		if (kept == f->from->ncolumns || count_reads(f, o->reads.column) == 1)
			continue;
		check_fail_select(
		    c, f, o->at,
		    "\"%s\" reads \"%s\" and other columns; a long \"%s\" is not sent "
		    "when only the others change; run: %s",
		    o->name, f->from->columns[kept].name, f->from->columns[kept].name,
		    full_sql(c, f));
	}
}

static void check_filter(struct check *c, const struct flow *f)
{
	const char *filter = list_columns(c, f, f->query->filter.column, flow_keeps_column);
	const char *from = list_columns(c, f, f->query->from.column, flow_keeps_column);

	if (*filter || *from)
		check_fail_at(c, f->subject, f->def->select_lies.first,
			      "%s reads %s, which is not sent when it is long and unchanged, so it "
			      "cannot be told whether the row belongs to the target; %srun: %s",
			      *filter ? "WHERE" : "FROM", *filter ? filter : from,
			      !*filter && f->joins ? "use LEFT JOIN or a sub-SELECT, or " : "",
			      full_sql(c, f));
	else if (f->keeps && f->query->filtered)
		finding_add(
		    c->findings, c->arena, FINDING_WARN, f->subject,
		    "a row that enters the filter by an UPDATE of another column does not "
		    "bring its long values of %s, and the run would stop there; if that can "
		    "happen, run: %s",
		    list_columns(c, f, f->query->reads, flow_keeps_column), full_sql(c, f));
}

/* A lookup row of what did not change is there already, if that is all it is made of. */
static void check_lookup_kept(struct check *c, const struct flow *f)
{
	const char *kept = list_columns(c, f, f->query->reads, flow_keeps_column);

	if (*kept && count_reads(f, f->query->reads) > 1)
		check_fail_at(
		    c, f->subject, f->def->select_lies.first,
		    "the lookup reads %s, which is not sent when it is long and unchanged, "
		    "and other columns; run: %s",
		    kept, full_sql(c, f));
}

/* Does FROM make an old row's rows of this column alone? */
static bool makes_rows_alone(const struct flow *f, unsigned column)
{
	for (unsigned i = 0; i < f->query->nitems; i++)
		if (f->query->items[i].relation && !f->query->items[i].left)
			return false;
	return !f->query->where && f->query->from.column[column] &&
	       count_reads(f, f->query->from.column) == 1;
}

static bool reads_rows(const struct flow *f, const struct query_output *o)
{
	for (unsigned i = 0; i < f->query->nitems; i++)
		if (o->reads.item[i] && !(f->query->items[i].relation && f->query->items[i].left))
			return true;
	return false;
}

/* What can be set while the rows stay as they are: what comes of other columns. */
static void find_stays(struct check *c, struct flow *f, unsigned kept)
{
	unsigned *stays = arena_array(c->arena, f->query->noutputs, sizeof *stays);

	for (unsigned i = 0; i < f->query->noutputs; i++)
		if (!f->query->outputs[i].reads.column[kept] &&
		    !reads_rows(f, &f->query->outputs[i]))
			stays[f->nstays++] = i;
	f->stays = stays;
	f->stay_select = query_narrow(c->arena, f->query, f->nstays, stays, false, &f->stay_reads);
	if (!f->stay_select)
		check_fail_at(c, f->subject, f->def->select_lies.first,
			      "the SELECT's expressions cannot be taken apart; write them more "
			      "plainly");
}

/* The rows of an owner stay while what FROM makes them of does; else all must be known. */
static void check_owned_kept(struct check *c, struct flow *f)
{
	unsigned kept = 0, count = 0;

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i] && flow_keeps_column(f, i)) {
			kept = i;
			count++;
		}
	if (count == 1 && makes_rows_alone(f, kept)) {
		check_mixed(c, f);
		find_stays(c, f, kept);
	} else if (count) {
		check_fail_at(
		    c, f->subject, f->def->select_lies.first,
		    "%s is not sent when it is long and unchanged, and the rows of an owner "
		    "cannot be made again without it (they can stay where FROM makes them "
		    "of one such column alone, and there is no WHERE); run: %s",
		    list_columns(c, f, f->query->reads, flow_keeps_column), full_sql(c, f));
	}
}

/* A moved row keeps its place, so its key must be one that an UPDATE can set. */
static void warn_fixed_key(struct check *c, const struct flow *f)
{
	if (f->keeps && flow_key_fixed(f))
		finding_add(
		    c->findings, c->arena, FINDING_WARN, f->subject,
		    "the key of %s.%s is GENERATED ALWAYS, which no UPDATE can set: a row whose "
		    "key moves while a long value stays stops the run; if keys move, run: %s",
		    f->to->schema, f->to->name, full_sql(c, f));
}

/* A filter decides by row, removal by key: rows in and out must not share one. */
static void check_shared_key(struct check *c, const struct flow *f)
{
	const struct catalog_index *identity = catalog_primary(f->from);
	bool *plain = arena_array(c->arena, f->from->ncolumns, sizeof *plain);
	bool sure = identity != NULL;

	if (!(f->query->filtered || f->owned) || !f->nfound || f->def->insert_only)
		return;
	for (unsigned i = 0; i < f->nfound; i++)
		if (tables_keeps_apart(f, f->found[i]))
			plain[f->query->outputs[f->found[i]].column] = true;
	for (unsigned i = 0; sure && i < identity->ncolumns; i++)
		sure = plain[identity->columns[i]];
	if (!sure && f->owned)
		check_warn(
		    c, f->subject,
		    "the owner columns do not hold the primary key of %s.%s; two old rows must "
		    "not share an owner, for each would take the other's rows away",
		    f->from->schema, f->from->name);
	else if (!sure)
		finding_add(
		    c->findings, c->arena, FINDING_WARN, f->subject,
		    "the key does not hold the primary key of %s.%s, and the flow has a "
		    "filter: a row that it leaves out must not share its key with one that it "
		    "lets in",
		    f->from->schema, f->from->name);
}

/* Read by the SELECT, or one of the columns by which a row's changes are known. */
static bool needed(const struct flow *f, unsigned column)
{
	const struct catalog_index *i = catalog_identity(f->from);

	for (unsigned k = 0; i && k < i->ncolumns; k++)
		if (i->columns[k] == column)
			return true;
	return f->query->reads[column];
}

static void check_generated(struct check *c, const struct flow *f)
{
	bool json = strcmp(c->m->decoder, "wal2json") == 0;

	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		const struct catalog_column *s = &f->from->columns[i];
		if (!needed(f, i) || !s->generated || (json && s->generated == 's'))
			continue;
		check_fail_at(c, f->subject, f->def->select_lies.first,
			      "column \"%s\" of %s.%s is generated, and %s does not send it; "
			      "compute it in the SELECT instead%s",
			      s->name, f->from->schema, f->from->name, c->m->decoder,
			      s->generated == 's' ? ", or use decoder: wal2json" : "");
	}
}

static bool lossy_in_json(uint32_t oid)
{
	enum { FLOAT4 = 700, FLOAT8 = 701, NUMERIC = 1700 };

	return oid == FLOAT4 || oid == FLOAT8 || oid == NUMERIC;
}

static void check_json(struct check *c, const struct flow *f)
{
	if (strcmp(c->m->decoder, "wal2json") != 0)
		return;
	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		const struct catalog_column *s = &f->from->columns[i];
		if (needed(f, i) && lossy_in_json(s->base_oid))
			check_fail_at(c, f->subject, f->def->from_place,
				      "column \"%s\" is %s, and wal2json before 2.6 sends NaN and "
				      "Infinity as null; use decoder: pgoutput",
				      s->name, s->type);
	}
}

static bool type_exists(struct check *c, const char *type, bool *exists, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(c->target.pg, "SELECT to_regtype($1) IS NOT NULL", 1, &type, &r, e);

	*exists = ok && pg_bool(r, 0, 0);
	pg_result_free(r);
	return ok;
}

/* Values get the source's type at the target, before the SELECT sees them. */
static bool check_types(struct check *c, const struct flow *f, struct err *e)
{
	for (unsigned i = 0; i < f->from->ncolumns; i++) {
		const struct catalog_column *s = &f->from->columns[i];
		bool exists = true;
		if (f->query->reads[i] && !s->builtin && !type_exists(c, s->bare_type, &exists, e))
			return false;
		if (!exists)
			check_fail_at(
			    c, f->subject, f->def->from_place,
			    "column \"%s\" is of type %s, which the target does not have; "
			    "create the type there, under the same name",
			    s->name, s->bare_type);
	}
	return true;
}

static bool any_kept(const struct flow *f)
{
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i] && flow_keeps_column(f, i))
			return true;
	return false;
}

static void check_kept(struct check *c, struct flow *f)
{
	if (f->lookup) {
		check_lookup_kept(c, f);
	} else if (f->owned) {
		check_owned_kept(c, f);
	} else {
		check_mixed(c, f);
		check_filter(c, f);
	}
}

/* What a statement that keeps values takes: a flag stands beside each. */
static bool fits_with_flags(const struct flow *f)
{
	enum { MOST_COLUMNS = 1664 };
	unsigned n = 0;

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->query->reads[i])
			n += flow_keeps_column(f, i) ? 2 : 1;
	return n <= MOST_COLUMNS;
}

/*
 * FULL may be newer than changes that are still to come: they are followed as well, unless the flow
 * could not do without it.
 */
static bool needs_full(const struct check *c, struct flow *f)
{
	struct findings unheard = FINDINGS_INIT(unheard);
	struct check trial = *c;

	if (!f->nfound || f->owned || f->lookup || !catalog_primary(f->from) || !fits_with_flags(f))
		return true;
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		if (f->key_reads.column[i] && !catalog_in_key(f->from, i))
			return true;
	trial.findings = &unheard;
	f->keeps = any_kept(f);
	check_kept(&trial, f);
	warn_fixed_key(&trial, f);
	return unheard.failures || unheard.warnings;
}

bool check_stream(struct check *c, struct flow *f, struct err *e)
{
	unsigned failures = c->findings->failures;

	check_identity(c, f);
	if (c->findings->failures == failures) {
		f->whole = f->from->replica_identity == 'f' && needs_full(c, f);
		f->keeps = !f->lookup && any_kept(f);
		check_kept(c, f);
		check_shared_key(c, f);
		warn_fixed_key(c, f);
	}
	check_generated(c, f);
	check_json(c, f);
	return check_types(c, f, e);
}
