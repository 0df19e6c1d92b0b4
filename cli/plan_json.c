#include "cli/json.h"
#include "cli/plan.h"

static void put_steps(struct json *j, const struct outlook *o)
{
	json_array(j, "steps");
	for (unsigned i = 0; i < o->nsteps; i++) {
		const struct outlook_step *s = &o->steps[i];
		json_object(j, NULL);
		json_text(j, "phase", s->phase);
		json_text(j, "where", s->where);
		json_text(j, "what", s->what);
		json_text(j, "lock", s->lock);
		json_array(j, "sql");
		for (unsigned k = 0; k < s->nsql; k++)
			json_text(j, NULL, s->sql[k]);
		json_array_end(j);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_flow(struct json *j, const struct plan *p, const struct flow_plan *f,
		     struct arena *a)
{
	struct plan_statement list[PLAN_STATEMENTS];
	unsigned n = plan_statements(p, f, a, list);

	json_object(j, NULL);
	json_text(j, "to", f->target_name);
	json_text(j, "select_runs", plan_select_runs(p, f));
	json_text(j, "why", f->copy_why);
	json_count(j, "rank", f->rank);
	json_object(j, "statements");
	for (unsigned i = 0; i < n; i++)
		json_text(j, list[i].name, list[i].sql);
	json_object_end(j);
	json_object_end(j);
}

static void put_table(struct json *j, const struct outlook *o, unsigned i, struct arena *a)
{
	const struct table_plan *t = &o->session->plan->tables[i];
	const struct table_cut *cut = &o->copy.cuts[i];

	json_object(j, NULL);
	json_text(j, "table", t->label);
	json_count(j, "bytes", (int64_t)cut->bytes);
	json_known_number(j, "rows_estimate", cut->rows);
	json_count(j, "chunks", cut->count + 1);
	json_count(j, "chunk_bytes", (int64_t)(cut->bytes / (cut->count + 1)));
	json_array(j, "chunk_key");
	for (unsigned k = 0; k < t->chunk.nkey; k++)
		json_text(j, NULL, t->columns[t->chunk.key[k]].name);
	json_array_end(j);
	json_bool(j, "one_snapshot", chunks_one_generation(t));
	json_array(j, "flows");
	for (unsigned k = 0; k < t->nflows; k++)
		put_flow(j, o->session->plan, &t->flows[k], a);
	json_array_end(j);
	json_object_end(j);
}

static void put_definitions(struct json *j, const struct outlook *o)
{
	json_array(j, "definitions");
	for (unsigned i = 0; i < o->ndefinitions; i++) {
		const struct definition *d = &o->definitions[i];
		json_object(j, NULL);
		json_text(j, "kind", d->kind);
		json_text(j, "table", d->table);
		json_text(j, "name", d->name);
		json_text(j, "drop", d->drop);
		json_text(j, "create", d->create);
		json_bool(j, "validate", d->validate);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_sequences(struct json *j, const struct outlook *o)
{
	json_array(j, "sequences");
	for (unsigned i = 0; i < o->session->plan->nsequences; i++) {
		json_object(j, NULL);
		json_text(j, "sequence", o->session->plan->sequences[i].target_sequence);
		json_count(j, "now", o->sequences[i].now);
		json_count(j, "next", o->sequences[i].next);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_estimate(struct json *j, const struct outlook *o)
{
	json_object(j, "estimate");
	json_count(j, "bytes", (int64_t)o->copy.bytes);
	json_count(j, "chunks", o->copy.chunks);
	json_text(j, "sampled_table", o->copy.sampled->label);
	json_count(j, "sampled_bytes", (int64_t)o->copy.sampled_bytes);
	json_number(j, "sampled_seconds", o->copy.sampled_seconds);
	json_count(j, "workers", o->copy.workers);
	json_known_number(j, "copy_seconds_at_least", o->copy.seconds);
	json_number(j, "wal_bytes_per_second", o->wal_rate);
	json_object_end(j);
}

void plan_print_json(const struct outlook *o, struct arena *a)
{
	struct json j;

	json_begin(&j, true);
	json_text(&j, "migration", o->session->migration->name);
	json_text(&j, "known_phase", o->known_phase);
	json_text(&j, "slot", o->session->slot);
	put_steps(&j, o);
	json_array(&j, "tables");
	for (unsigned i = 0; i < o->session->plan->ntables; i++)
		put_table(&j, o, i, a);
	json_array_end(&j);
	put_definitions(&j, o);
	put_sequences(&j, o);
	put_estimate(&j, o);
	json_end(&j);
}
