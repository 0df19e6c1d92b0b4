#include "service/overview.h"

#include "cutover/phase.h"
#include "pg/slot.h"

#include <string.h>

/* A run writes its figures each second; those that are older, or of before its trouble, are not now's. */
enum { FRESH_SECONDS = 5 };

void onlooker_init(const struct migration *m, struct onlooker *o)
{
	*o = (struct onlooker){ .source = NULL };
	session_name(m, &o->names);
	o->source_options = o->names.source_options;
	o->target_options = o->names.target_options;
	o->source_options.application = o->target_options.application = "pgcrossfade status";
}

static void hang_up(struct pg **pg)
{
	pg_close(*pg);
	*pg = NULL;
}

void onlooker_finish(struct onlooker *o)
{
	hang_up(&o->source);
	hang_up(&o->target);
	session_close(&o->names);
}

/* What went wrong is the view's; the connection is made anew the next time. */
static void give_up(struct server_view *v, struct pg **pg, struct err *e, struct arena *a)
{
	err_one_line(e);
	v->error = arena_strdup(a, e->text);
	v->error_kind = e->kind;
	hang_up(pg);
}

/* --- the target --- */

static bool look_at_ledger(struct onlooker *o, struct arena *a, struct overview *v, struct err *e)
{
	const char *name = o->names.migration->name;
	struct ledger_definition *all;
	struct status *s;
	unsigned count;

	if (!ledger_runs(o->target, name, a, &v->runs, &v->nruns, e) ||
	    !status_load(o->target, name, a, &s, e))
		return false;
	v->status = s;
	if (!s)
		return true;
	v->definitions = s->migration->definitions;
	if (!ledger_definitions(o->target, name, a, &all, &count, e) ||
	    !request_pending(o->target, name, a, &v->requests, &v->nrequests, e))
		return false;
	for (unsigned i = 0; i < count; i++)
		v->definitions_left += ledger_is_away(&all[i]);
	return true;
}

static void look_at_target(struct onlooker *o, struct arena *a, struct overview *v)
{
	const char *ours = o->names.target_options.application;
	struct server_view *view = &v->target;
	struct err e = ERR_INIT;

	if ((!o->target && !pg_open(&o->target_options, &o->target, &e)) ||
	    !look_at_ledger(o, a, v, &e) ||
	    !activity_builds(o->target, ours, a, &v->builds, &v->nbuilds, &e) ||
	    !activity_blocks(o->target, ours, a, &view->blocks, &view->nblocks, &e))
		give_up(view, &o->target, &e, a);
}

/* --- the source --- */

/* After the ledger: the source is further by now, never behind. */
static bool measure_lag(struct onlooker *o, struct overview *v, struct err *e)
{
	lsn_t now, applied = v->status ? v->status->applied : 0;

	if (!applied)
		return true;
	if (!wal_insert_lsn(o->source, &now, e))
		return false;
	v->lag_bytes = now > applied ? (int64_t)(now - applied) : 0;
	return true;
}

static void look_at_source(struct onlooker *o, struct arena *a, struct overview *v)
{
	const char *ours = o->names.source_options.application;
	struct slot_status *slot = arena_zalloc(a, sizeof *slot);
	struct server_view *view = &v->source;
	struct err e = ERR_INIT;

	if ((!o->source && !pg_open(&o->source_options, &o->source, &e)) ||
	    !slot_lookup(o->source, o->names.slot, a, slot, &e) || !measure_lag(o, v, &e) ||
	    !activity_blocks(o->source, ours, a, &view->blocks, &view->nblocks, &e)) {
		give_up(view, &o->source, &e, a);
		return;
	}
	v->slot = slot;
}

/* --- what follows from it --- */

static bool is_fresh(const struct status *s)
{
	const struct heartbeat *h = s ? s->heartbeat : NULL;

	return h && s->running && !h->trouble && h->age_seconds < FRESH_SECONDS;
}

static void tell_lag_seconds(struct overview *v)
{
	const struct status *s = v->status;

	if (!s || !s->applied)
		return;
	if (is_fresh(s))
		v->lag_seconds = s->heartbeat->lag_seconds > 0
				     ? s->heartbeat->lag_seconds + s->heartbeat->age_seconds
				     : s->heartbeat->lag_seconds;
	else if (v->lag_bytes == 0)
		v->lag_seconds = 0;
}

static void tell_eta(struct overview *v)
{
	unsigned left = 0;

	if (!v->status || v->status->chunk_rate <= 0)
		return;
	for (unsigned i = 0; i < v->status->ntables; i++)
		left += v->status->tables[i].chunks - v->status->tables[i].chunks_done;
	v->eta_seconds = left / v->status->chunk_rate;
}

/* While copying each side's COPY waits for us when the other side, or we, take our time. */
static void look_at_copy(struct onlooker *o, struct overview *v)
{
	unsigned out = 0, out_waits = 0, in = 0, in_waits = 0;
	struct err e = ERR_INIT;

	if (!o->source || !o->target ||
	    !activity_copies(o->source, o->names.source_options.application, &out, &out_waits,
			     &e) ||
	    !activity_copies(o->target, o->names.target_options.application, &in, &in_waits, &e))
		return;
	if (!out || !in)
		return;
	bool for_target = out_waits * 2 > out, for_source = in_waits * 2 > in;
	v->bottleneck = for_target && for_source ? "reader"
			: for_target             ? "apply"
			: for_source             ? "source"
						 : "";
}

static void tell_bottleneck(struct onlooker *o, struct overview *v)
{
	if (!is_fresh(v->status))
		return;
	if (strcmp(v->status->migration->phase, phase_name(PH_COPY)) == 0)
		look_at_copy(o, v);
	else if (v->status->applied)
		v->bottleneck = v->status->heartbeat->bottleneck;
}

struct overview *onlooker_look(struct onlooker *o, struct arena *a)
{
	struct overview *v = arena_zalloc(a, sizeof *v);

	v->eta_seconds = v->lag_seconds = -1;
	v->lag_bytes = -1;
	v->migration = o->names.migration->name;
	v->slot_name = o->names.slot;
	look_at_target(o, a, v);
	if (!v->status || strcmp(v->status->migration->phase, phase_name(PH_COMPLETE)) != 0)
		look_at_source(o, a, v); /* of a complete one nothing is there */
	tell_lag_seconds(v);
	tell_eta(v);
	tell_bottleneck(o, v);
	return v;
}
