#include "transform/tables.h"

#include "pg/quote.h"
#include "transform/sql.h"

/* --- columns and keys of one source table --- */

static enum sameness sameness(const struct catalog_column *c)
{
	enum { NUMERIC = 1700 };

	if (c->one_text)
		return SAME_TEXT;
	return c->base_oid == NUMERIC ? SAME_DECIMAL : SAME_UNKNOWN;
}

/* With FULL a long value always comes, but for changes that are older than it. */
static bool may_be_unsent(const struct flow *flows, unsigned nflows,
			  const struct catalog_table *from, unsigned column)
{
	bool whole = false;

	for (unsigned i = 0; i < nflows; i++)
		whole |= flows[i].from->oid == from->oid && flows[i].whole &&
			 flows[i].query->reads[column];
	return from->columns[column].toastable && !whole && !catalog_in_key(from, column);
}

static void take_columns(struct arena *a, const struct flow *flows, unsigned nflows,
			 const struct catalog_table *from, struct table_plan *t)
{
	struct plan_column *columns = arena_array(a, from->ncolumns, sizeof *columns);

	for (unsigned i = 0; i < from->ncolumns; i++) {
		const struct catalog_column *c = &from->columns[i];
		columns[i] = (struct plan_column){
			.name = c->name,
			.type = c->bare_type, /* the modifier may change meanwhile */
			.type_oid = c->type_oid,
			.sameness = sameness(c),
			.not_null = c->not_null,
			.identity = catalog_in_identity(from, i),
			.toastable = may_be_unsent(flows, nflows, from, i),
			.varlena = c->varlena,
		};
	}
	t->columns = columns;
	t->ncolumns = from->ncolumns;
}

static bool within_identity(const struct catalog_table *from, const struct catalog_index *index)
{
	for (unsigned i = 0; i < index->ncolumns; i++)
		if (!catalog_in_identity(from, index->columns[i]))
			return false;
	return true;
}

/* The only flow of a table whose rows are found by something, or NULL. */
static const struct flow *sole_keyed(const struct flow *flows, unsigned nflows, uint32_t table)
{
	const struct flow *found = NULL;

	for (unsigned i = 0; i < nflows; i++) {
		if (flows[i].from->oid != table || flows[i].nfound == 0)
			continue;
		if (found)
			return NULL;
		found = &flows[i];
	}
	return found;
}

/* By which columns are the changes of one row known? */
static void take_key(const struct flow *flows, unsigned nflows, const struct catalog_table *from,
		     struct table_plan *t)
{
	const struct catalog_index *primary = catalog_primary(from);
	const struct catalog_index *identity = catalog_identity(from);
	const struct catalog_index *index = primary && within_identity(from, primary) ? primary
										      : identity;
	const struct flow *keyed = sole_keyed(flows, nflows, from->oid);

	if (index) {
		t->nkey = index->ncolumns;
		t->key = index->columns;
		t->key_unique = true;
	} else if (from->replica_identity == 'f' && !primary && keyed) {
		t->nkey = keyed->plan->nkey_reads;
		t->key = keyed->plan->key_reads;
	}
}

/* --- chunk key --- */

static bool ordered(const struct catalog_column *c)
{
	static const uint32_t oids[] = {
		17 /* bytea */,     19 /* name */,   20 /* int8 */,        21 /* int2 */,
		23 /* int4 */,      25 /* text */,   26 /* oid */,         1042 /* bpchar */,
		1043 /* varchar */, 1082 /* date */, 1114 /* timestamp */, 1184 /* timestamptz */,
		1700 /* numeric */, 2950 /* uuid */,
	};

	for (size_t i = 0; i < sizeof oids / sizeof *oids; i++)
		if (oids[i] == c->type_oid)
			return c->bytewise && c->not_null && !c->generated;
	return false;
}

/* Do two values that differ in from still differ in to? */
static bool keeps_apart(const struct catalog_column *from, const struct catalog_column *to)
{
	enum { INT8 = 20, INT2 = 21, INT4 = 23, OID = 26, DATE = 1082, UUID = 2950 };
	uint32_t t = from->base_oid;

	if (t == INT2 || t == INT4 || t == INT8 || t == OID || t == DATE || t == UUID)
		return true; /* through every cast that such a key could have */
	if (catalog_is_text(from) && catalog_is_text(to))
		return to->exact;
	return t == to->base_oid &&
	       (strcmp(from->type, to->type) == 0 || strcmp(to->type, to->bare_type) == 0);
}

bool tables_keeps_apart(const struct flow *f, unsigned output)
{
	const struct query_output *o = &f->query->outputs[output];

	return o->plain && keeps_apart(&f->from->columns[o->column], flow_target(f, output));
}

static bool holds(const struct flow *f, const unsigned *outputs, unsigned count, unsigned column)
{
	for (unsigned i = 0; i < count; i++)
		if (f->query->outputs[outputs[i]].column == column &&
		    tables_keeps_apart(f, outputs[i]))
			return true;
	return false;
}

/* By key, and by owner where there is one. Rows that are only added do not care. */
bool tables_key_holds(const struct flow *f, unsigned column)
{
	unsigned nkey = f->def->key.count;

	return f->lookup || ((!f->owned || holds(f, f->found, f->nfound, column)) &&
			     (nkey == 0 || holds(f, f->key, nkey, column)));
}

/*
 * Chunks are copied at different times. So that no two of them bring rows under one key of
 * a target, a row's keys must say in which chunk it lies.
 */
static bool every_key_holds(const struct flow *flows, unsigned nflows, uint32_t table,
			    unsigned column)
{
	for (unsigned i = 0; i < nflows; i++)
		if (flows[i].from->oid == table && !tables_key_holds(&flows[i], column))
			return false;
	return true;
}

/* Can the column cut chunks? Deletes must bring it, too. */
static bool cuts(const struct flow *flows, unsigned nflows, const struct flow *f, unsigned column)
{
	return ordered(&f->from->columns[column]) &&
	       (f->def->insert_only || catalog_in_identity(f->from, column)) &&
	       every_key_holds(flows, nflows, f->from->oid, column);
}

/* As many of an index's first columns as can cut. */
static void take_chunk_key(const struct flow *flows, unsigned nflows, const struct flow *f,
			   struct chunk_plan *chunk)
{
	for (unsigned i = 0; i < f->from->nindexes && chunk->nkey == 0; i++) {
		const struct catalog_index *index = &f->from->indexes[i];
		chunk->key = index->columns;
		while (index->exact && chunk->nkey < index->ncolumns &&
		       cuts(flows, nflows, f, index->columns[chunk->nkey]))
			chunk->nkey++;
	}
}

/* --- gathering --- */

static struct table_plan *table_of(struct plan *plan, const struct flow *flows, unsigned nflows,
				   const struct flow *f)
{
	struct table_plan *t = plan_table(plan, f->from->schema, f->from->name);

	if (t)
		return t;
	t = &plan->tables[plan->ntables++];
	t->schema = f->from->schema;
	t->name = f->from->name;
	t->label = arena_printf(plan->arena, "%s.%s", t->schema, t->name);
	t->quoted = arena_qualified(plan->arena, t->schema, t->name);
	t->from = catalog_partitioned(f->from) ? t->quoted
					       : arena_printf(plan->arena, "ONLY %s", t->quoted);
	t->partitioned = catalog_partitioned(f->from);
	for (unsigned i = 0; i < f->from->nparts; i++)
		plan_add_part(plan, t, f->from->parts[i].schema, f->from->parts[i].name);
	t->oid = f->from->oid;
	t->replica_identity = f->from->replica_identity;
	t->insert_only = f->def->insert_only;
	take_columns(plan->arena, flows, nflows, f->from, t);
	take_key(flows, nflows, f->from, t);
	take_chunk_key(flows, nflows, f, &t->chunk);
	t->flows = arena_array(plan->arena, nflows, sizeof *t->flows);
	return t;
}

static void mark_read(struct plan_column *columns, const struct flow *f)
{
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		columns[i].read |= f->query->reads[i];
}

static void take_identity(struct arena *a, const struct table_plan *t, struct flow_plan *f)
{
	unsigned *stored = arena_array(a, t->ncolumns, sizeof *stored);

	f->nidentity = t->key_unique ? t->nkey : f->nreads;
	f->identity = t->key_unique ? t->key : f->reads;
	for (unsigned i = 0; i < t->ncolumns; i++) {
		bool wanted = false;
		for (unsigned k = 0; k < f->nreads; k++)
			wanted |= f->reads[k] == i;
		for (unsigned k = 0; k < f->nidentity; k++)
			wanted |= f->identity[k] == i;
		if (wanted)
			stored[f->nstored++] = i;
	}
	f->stored = stored;
	sql_stored(a, t, f);
}

/* The output that holds a column as it is, or noutputs. */
static unsigned output_of(const struct flow *f, unsigned column)
{
	unsigned i = 0;

	while (i < f->query->noutputs &&
	       !(f->query->outputs[i].plain && f->query->outputs[i].column == column &&
		 keeps_apart(&f->from->columns[column], flow_target(f, i))))
		i++;
	return i;
}

/* Where a target row tells its chunk, a TRUNCATE between two chunks' snapshots can be followed. */
static void take_clear_copied(const struct plan *plan, const struct table_plan *t,
			      const struct flow *f, struct flow_plan *out)
{
	unsigned *outputs = arena_array(plan->arena, t->chunk.nkey, sizeof *outputs);
	bool all = t->chunk.nkey > 0;

	for (unsigned i = 0; i < t->chunk.nkey; i++) {
		outputs[i] = output_of(f, t->chunk.key[i]);
		all = all && outputs[i] < f->query->noutputs;
	}
	if (all)
		sql_clear_copied(plan->arena, plan->migration, t, f, outputs, &out->clear_copied);
}

void tables_build(struct plan *plan, const struct flow *flows, unsigned nflows)
{
	plan->tables = arena_array(plan->arena, nflows, sizeof *plan->tables);
	for (unsigned i = 0; i < nflows; i++) {
		struct table_plan *t = table_of(plan, flows, nflows, &flows[i]);
		mark_read((struct plan_column *)(uintptr_t)t->columns, &flows[i]);
		t->flows[t->nflows] = *flows[i].plan;
		take_clear_copied(plan, t, &flows[i], &t->flows[t->nflows++]);
	}
	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].nflows; k++)
			take_identity(plan->arena, &plan->tables[i], &plan->tables[i].flows[k]);
	for (unsigned i = 0; i < plan->ntables; i++) {
		sql_chunk(plan->arena, plan->migration, i, &plan->tables[i]);
		sql_stage(plan, flows, nflows, i);
	}
}

static bool known_sequence(const struct sequence_plan *list, unsigned count,
			   const struct sequence_plan *s)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(list[i].target_sequence, s->target_sequence) == 0 &&
		    strcmp(list[i].target_column, s->target_column) == 0 &&
		    strcmp(list[i].source_sequence ? list[i].source_sequence : "",
			   s->source_sequence ? s->source_sequence : "") == 0)
			return true;
	return false;
}

static struct sequence_plan sequence_of(struct arena *a, const struct flow *f, unsigned output)
{
	const struct query_output *o = &f->query->outputs[output];
	const struct catalog_column *t = flow_target(f, output);

	return (struct sequence_plan){
		.target_sequence = t->sequence,
		.target_column = arena_ident(a, t->name),
		.target_table = f->plan->target,
		.source_sequence = o->plain ? f->from->columns[o->column].sequence : NULL,
	};
}

/* A sequence can also be part of a text, whose highest value says nothing. */
static bool counts(const struct catalog_column *t)
{
	enum { INT8 = 20, INT2 = 21, INT4 = 23, NUMERIC = 1700 };

	return t->sequence && (t->base_oid == INT8 || t->base_oid == INT2 || t->base_oid == INT4 ||
			       t->base_oid == NUMERIC);
}

void sequences_build(struct plan *plan, const struct flow *flows, unsigned nflows)
{
	unsigned room = 0;

	for (unsigned i = 0; i < nflows; i++)
		room += flows[i].query->noutputs;
	struct sequence_plan *list = arena_array(plan->arena, room, sizeof *list);
	for (unsigned i = 0; i < nflows; i++)
		for (unsigned k = 0; k < flows[i].query->noutputs; k++) {
			if (!counts(flow_target(&flows[i], k)))
				continue;
			list[plan->nsequences] = sequence_of(plan->arena, &flows[i], k);
			if (!known_sequence(list, plan->nsequences, &list[plan->nsequences]))
				plan->nsequences++;
		}
	plan->sequences = list;
}
