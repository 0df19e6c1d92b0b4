#include "cli/json.h"
#include "cli/status.h"

static void put_tables(struct json *j, const struct status *s)
{
	json_array(j, "tables");
	for (unsigned i = 0; i < s->ntables; i++) {
		json_object(j, NULL);
		json_text(j, "table", s->tables[i].table);
		json_count(j, "chunks", s->tables[i].chunks);
		json_count(j, "chunks_done", s->tables[i].chunks_done);
		json_count(j, "rows", (int64_t)s->tables[i].rows);
		json_count(j, "bytes", (int64_t)s->tables[i].bytes);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_copy(struct json *j, const struct overview *v)
{
	const struct status *s = v->status;

	put_tables(j, s);
	json_count(j, "rows_copied", (int64_t)s->rows_copied);
	json_count(j, "bytes_copied", (int64_t)s->bytes_copied);
	json_number(j, "copy_seconds", s->copy_seconds);
	json_number(j, "copy_rows_per_second", s->row_rate);
	json_number(j, "copy_bytes_per_second", s->byte_rate);
	json_known_number(j, "copy_eta_seconds", v->eta_seconds);
}

static void put_definitions(struct json *j, const struct overview *v)
{
	json_object(j, "definitions");
	json_count(j, "saved", v->definitions);
	json_count(j, "left", v->definitions_left);
	json_array(j, "building");
	for (unsigned i = 0; i < v->nbuilds; i++) {
		json_object(j, NULL);
		json_text(j, "table", v->builds[i].table);
		json_text(j, "statement", v->builds[i].statement);
		json_text(j, "phase", v->builds[i].phase);
		json_known_number(j, "share", v->builds[i].share);
		json_object_end(j);
	}
	json_array_end(j);
	json_object_end(j);
}

static void put_stream(struct json *j, const struct overview *v)
{
	const struct status *s = v->status;
	char lsn[LSN_TEXT];

	json_count(j, "changes_applied", (int64_t)s->changes_applied);
	json_count(j, "transactions_applied", (int64_t)s->transactions_applied);
	json_number(j, "changes_per_second",
		    s->running && s->heartbeat ? s->heartbeat->change_rate : 0);
	json_text(j, "applied_lsn", s->applied ? lsn_format(s->applied, lsn) : NULL);
}

/* Of a run that is alive: of one that is not there is nothing to come. */
static void put_trouble(struct json *j, const struct status *s)
{
	const struct heartbeat_trouble *t = s->heartbeat ? s->heartbeat->trouble : NULL;

	if (!t || !s->running) {
		json_null(j, "retrying");
		return;
	}
	json_object(j, "retrying");
	json_text(j, "error", t->error);
	json_text(j, "since", t->since);
	json_number(j, "seconds", t->since_seconds);
	json_count(j, "tries", t->tries);
	json_number(j, "next_try_seconds", t->next_seconds > 0 ? t->next_seconds : 0);
	json_object_end(j);
}

static void put_run(struct json *j, const struct status *s)
{
	const struct heartbeat *h = s->heartbeat;

	json_text(j, "activity", s->running && h && !h->trouble ? h->activity : NULL);
	json_text(j, "host", h ? h->host : NULL);
	json_known_count(j, "pid", h ? h->pid : -1);
	json_known_number(j, "beat_age_seconds", h ? h->age_seconds : -1);
	json_known_number(j, "up_seconds", s->running && h ? h->up_seconds + h->age_seconds : -1);
	put_trouble(j, s);
}

/* What holds the lock, and what waits for it: backends at the target. */
static void put_backends(struct json *j, const struct overview *v)
{
	json_array(j, "runs");
	for (unsigned i = 0; i < v->nruns; i++) {
		json_object(j, NULL);
		json_bool(j, "holds", v->runs[i].holds);
		json_count(j, "backend_pid", v->runs[i].pid);
		json_known_number(j, "connected_seconds", v->runs[i].seconds);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_rejects(struct json *j, const struct status *s)
{
	json_array(j, "rejects");
	for (unsigned i = 0; i < s->nrejects; i++) {
		json_object(j, NULL);
		json_text(j, "source", s->rejects[i].source);
		json_text(j, "target", s->rejects[i].target);
		json_count(j, "rows", (int64_t)s->rejects[i].count);
		json_object_end(j);
	}
	json_array_end(j);
}

/* What the ledger says. */
static void put_ledger(struct json *j, const struct overview *v)
{
	const struct status *s = v->status;

	json_text(j, "phase", s->migration->phase);
	json_text(j, "phase_since", s->migration->phase_since);
	json_bool(j, "running", s->running);
	put_run(j, s);
	json_text(j, "error", s->migration->error);
	json_text(j, "error_since", s->migration->error_at);
	put_copy(j, v);
	put_definitions(j, v);
	put_stream(j, v);
	put_rejects(j, s);
	json_array(j, "requests");
	for (unsigned i = 0; i < v->nrequests; i++) {
		json_object(j, NULL);
		json_text(j, "kind", v->requests[i].kind);
		json_text(j, "state", v->requests[i].state);
		json_number(j, "age_seconds", v->requests[i].seconds);
		json_object_end(j);
	}
	json_array_end(j);
	json_known_number(
	    j, "write_pause_ms",
	    s->migration->write_pause_us < 0 ? -1 : (double)s->migration->write_pause_us / 1000);
}

static void put_block(struct json *j, const struct activity_block *b)
{
	json_object(j, NULL);
	json_count(j, "pid", b->pid);
	json_text(j, "statement", b->query);
	json_number(j, "seconds", b->seconds);
	json_text(j, "object", b->object);
	json_object(j, "held_by");
	json_known_count(j, "pid", b->by_pid ? b->by_pid : -1);
	json_text(j, "prepared_transaction", b->by_pid ? NULL : b->by);
	json_text(j, "user", b->user);
	json_text(j, "state", b->state);
	json_known_number(j, "transaction_seconds", b->age);
	json_text(j, "statement", b->by_query);
	json_object_end(j);
	json_object_end(j);
}

static void put_server(struct json *j, const char *key, const struct server_view *s)
{
	json_object(j, key);
	json_bool(j, "answers", !s->error);
	json_text(j, "error", s->error);
	json_array(j, "waiting_for");
	for (unsigned i = 0; i < s->nblocks; i++)
		put_block(j, &s->blocks[i]);
	json_array_end(j);
	json_object_end(j);
}

static void put_slot(struct json *j, const struct overview *v)
{
	const struct slot_status *s = v->slot;

	if (!s || !s->exists) {
		json_null(j, "slot");
		return;
	}
	json_object(j, "slot");
	json_text(j, "name", v->slot_name);
	json_bool(j, "active", s->active);
	json_text(j, "wal_status", s->wal_status);
	json_count(j, "kept_bytes", s->kept_bytes);
	json_known_count(j, "safe_bytes", s->safe_bytes);
	json_object_end(j);
}

void status_print_json(const struct overview *v, bool pretty)
{
	struct json j;

	json_begin(&j, pretty);
	json_text(&j, "migration", v->migration);
	if (v->status) {
		put_ledger(&j, v);
	} else if (!v->target.error) { /* the ledger has nothing of it yet */
		json_null(&j, "phase");
		json_bool(&j, "running", v->nruns && v->runs[0].holds);
	}
	if (!v->target.error)
		put_backends(&j, v);
	json_known_count(&j, "lag_bytes", v->lag_bytes);
	json_known_number(&j, "lag_seconds", v->lag_seconds);
	json_text(&j, "bottleneck", v->bottleneck);
	put_slot(&j, v);
	put_server(&j, "source", &v->source);
	put_server(&j, "target", &v->target);
	json_end(&j);
}
