#include "transform/compile.h"

#include "pg/conn.h"
#include "pg/quote.h"
#include "transform/check.h"
#include "transform/order.h"
#include "transform/sql.h"
#include "transform/tables.h"

/* --- one flow --- */

static bool parse_select(struct check *c, struct flow *f, struct err *e)
{
	struct query_fault fault;

	(void)e;
	if (!query_parse(c->arena, f->def->select, &f->query, &fault))
		check_fail_select(c, f, fault.at, "%s", fault.text);
	return true;
}

static bool resolve_select(struct check *c, struct flow *f, struct err *e)
{
	const char **names = arena_array(c->arena, f->from->ncolumns, sizeof *names);
	struct query_fault fault;

	(void)e;
	for (unsigned i = 0; i < f->from->ncolumns; i++)
		names[i] = f->from->columns[i].name;
	if (!query_resolve(c->arena, f->query, f->from->ncolumns, names, &fault))
		check_fail_select(c, f, fault.at, "%s", fault.text);
	return true;
}

/* A SELECT that reads nothing still needs a row to stand for: the first column's. */
static void read_something(struct flow *f)
{
	bool any = false;

	for (unsigned i = 0; i < f->from->ncolumns; i++)
		any |= f->query->reads[i];
	if (!any && f->from->ncolumns)
		f->query->reads[0] = true;
}

static unsigned list_reads(struct arena *a, const struct flow *f, const bool *set,
			   const unsigned **out)
{
	unsigned *list = arena_array(a, f->from->ncolumns, sizeof *list);
	unsigned n = 0;

	for (unsigned i = 0; set && i < f->from->ncolumns; i++)
		if (set[i])
			list[n++] = i;
	*out = list;
	return n;
}

static const char *key_array(struct arena *a, const struct name_list *key)
{
	return key->count ? arena_text_array(a, key->names, key->count) : NULL;
}

static bool plan_flow(struct check *c, struct flow *f, struct err *e)
{
	struct flow_plan *p = f->plan;

	(void)e;
	p->no = f->no;
	p->target = arena_qualified(c->arena, f->to->schema, f->to->name);
	p->target_name = arena_printf(c->arena, "%s.%s", f->to->schema, f->to->name);
	p->select = f->def->select;
	p->keyed = f->nfound > 0 || f->lookup;
	p->owned = f->owned;
	p->lookup = f->lookup;
	p->unfilled = f->unfilled;
	p->moves = f->moves;
	p->key_array = key_array(c->arena, &f->def->key);
	p->filtered = f->query->filtered || f->owned;
	p->nreads = list_reads(c->arena, f, f->query->reads, &p->reads);
	p->nkey_reads = list_reads(c->arena, f, f->key_reads.column, &p->key_reads);
	sql_apply(c->arena, f, p);
	p->copy_why = c->one_database ? "old and new are in one database: INSERT ... SELECT, under "
					"the snapshot"
				      : f->copy_why;
	sql_copy(c->arena, f, c->one_database, p);
	return true;
}

static bool judge_select(struct check *c, struct flow *f, struct err *e)
{
	bool builtin = false;
	unsigned failures = c->findings->failures;

	if (!check_pure(c, f, &builtin, e) || !check_shape(c, f, e) || !check_outputs(c, f, e))
		return false;
	read_something(f);
	return c->findings->failures > failures || check_copy(c, f, builtin, e);
}

static bool prepare_flow(struct check *c, struct flow *f, struct err *e)
{
	return check_prepare(c, f, e);
}

/* Asked all at once, so that one run of check names every right that is missing. */
static bool judge_rights(struct check *c, struct flow *f, struct err *e)
{
	return check_stage(c, f, e) && check_drawn(c, f, e);
}

static void pass_flow(struct check *c, const struct flow *f)
{
	finding_add(c->findings, c->arena, FINDING_PASS, f->subject, "%u outputs, %s; copied %s%s",
		    f->query->noutputs,
		    f->lookup             ? "a lookup"
		    : f->def->insert_only ? "insert-only"
		    : f->owned            ? "several rows of one"
		    : f->def->key.count   ? "keyed"
					  : "without key",
		    c->one_database ? "inside the database"
		    : f->at_source  ? "through the SELECT at the source"
				    : "raw, the SELECT runs at the target",
		    c->one_database  ? ""
		    : f->copy_binary ? ", in binary"
				     : ", as text");
}

/* Each step needs what the one before found good. */
static bool check_flow(struct check *c, struct flow *f, struct err *e)
{
	static bool (*const steps[])(struct check *, struct flow *, struct err *) = {
		parse_select, check_tables,  resolve_select, judge_select, check_key,
		check_writes, check_stream,  check_input,    plan_flow,    prepare_flow,
		judge_rights, check_explain, check_target,
	};
	unsigned failures = c->findings->failures;

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (!steps[i](c, f, e))
			return err_wrap(e, "%s", f->subject);
		if (c->findings->failures > failures)
			return true;
	}
	pass_flow(c, f);
	return true;
}

/* --- all of them --- */

static struct flow *make_flows(struct check *c)
{
	struct flow *flows = arena_array(c->arena, c->m->nflows, sizeof *flows);

	for (unsigned i = 0; i < c->m->nflows; i++) {
		const struct flow_def *d = &c->m->flows[i];
		flows[i].def = d;
		flows[i].no = i;
		flows[i].plan = arena_zalloc(c->arena, sizeof *flows[i].plan);
		flows[i].subject = arena_printf(c->arena, "flow %s.%s -> %s.%s", d->from.schema,
						d->from.name, d->to.schema, d->to.name);
	}
	return flows;
}

static struct plan *plan_create(const struct check *c)
{
	struct plan *p = arena_zalloc(c->arena, sizeof *p);

	p->arena = c->arena;
	p->migration = arena_strdup(c->arena, c->m->name);
	p->one_database = c->one_database;
	p->rejects = c->m->rejects;
	return p;
}

/* What only `check` asks, of a migration that could begin. */
static bool check_deep(struct check *c, const struct plan *plan, const struct flow *flows,
		       struct err *e)
{
	if (!c->started && (!check_decoder(c, e) || !check_load(c, plan, e)))
		return false;
	return c->deep->data_ms == 0 || check_data(c, flows, c->deep->data_ms, e);
}

static bool compile(struct check *c, struct plan **out, struct err *e)
{
	struct flow *flows = make_flows(c);
	struct plan *plan;

	if (!check_servers(c, e))
		return false;
	if (!c->source.system || !c->target.system)
		return true; /* a server is too old to be asked, or may not be */
	if (c->phase && c->findings->failures)
		return true;
	for (unsigned i = 0; i < c->m->nflows; i++)
		if (!check_flow(c, &flows[i], e))
			return false;
	if (!check_switch(c, e))
		return false;
	if (c->findings->failures)
		return true;
	plan = plan_create(c);
	check_agreement(c, flows);
	check_union(c, flows);
	check_reads(c, flows);
	if (!order_flows(c, flows, c->m->nflows, plan, e))
		return false;
	tables_build(plan, flows, c->m->nflows);
	sequences_build(plan, flows, c->m->nflows);
	if (!check_sequences(c, plan, e) || !check_highest(c, plan, e) || !check_frozen(c, plan, e))
		return false;
	*out = c->findings->failures ? NULL : plan;
	return !*out || !c->deep || check_deep(c, plan, flows, e);
}

static struct check make_check(const struct migration *m, struct pg *source, struct pg *target,
			       struct arena *arena, struct findings *findings)
{
	return (struct check){
		.m = m,
		.source = { .pg = source, .subject = "source server" },
		.target = { .pg = target, .subject = "target server" },
		.arena = arena,
		.findings = findings,
	};
}

bool migration_compile(const struct migration *m, struct pg *source, struct pg *target,
		       struct arena *arena, struct plan **out, struct findings *findings,
		       struct err *e)
{
	struct check c = make_check(m, source, target, arena, findings);

	*out = NULL;
	return compile(&c, out, e);
}

bool migration_check(const struct migration *m, struct pg *source, struct pg *target,
		     struct arena *arena, const struct check_options *options,
		     struct findings *findings, struct err *e)
{
	struct check c = make_check(m, source, target, arena, findings);

	*options->plan = NULL;
	c.deep = options;
	return compile(&c, options->plan, e);
}
