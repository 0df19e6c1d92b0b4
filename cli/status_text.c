#include "cli/figures.h"
#include "cli/status.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STALE_SECONDS = 3 };

/* --- some lines --- */

/* What it was up to is over, but who it was may help to find out. */
static void print_last_run(const struct heartbeat *h, struct arena *a)
{
	if (!h) {
		puts("run        not running");
		return;
	}
	printf("run        not running; the last one was pid %" PRId64
	       " on %s, its last sign of life is %s old\n",
	       h->pid, h->host, figure_seconds(a, h->age_seconds));
	if (h->trouble)
		printf("           it was trying again, %u %s since %s, after: %s\n",
		       h->trouble->tries, h->trouble->tries == 1 ? "try" : "tries",
		       h->trouble->since, h->trouble->error);
}

static void print_trouble(const struct heartbeat_trouble *t, struct arena *a)
{
	printf("error      %s\n           since %s (%s), failed %u %s; ", t->error, t->since,
	       figure_seconds(a, t->since_seconds), t->tries, t->tries == 1 ? "time" : "times");
	if (t->next_seconds > 0)
		printf("tries again in %s\n", figure_seconds(a, t->next_seconds));
	else
		puts("is being tried again");
}

static void print_run(const struct status *s, struct arena *a)
{
	const struct heartbeat *h = s->heartbeat;

	if (!s->running) {
		print_last_run(h, a);
		return;
	}
	if (!h) {
		puts("run        starting");
		return;
	}
	printf("run        %s, pid %" PRId64 " on %s, up %s\n",
	       h->trouble ? "waiting to try again" : h->activity, h->pid, h->host,
	       figure_seconds(a, h->up_seconds + h->age_seconds));
	if (h->age_seconds > STALE_SECONDS)
		printf("           its last sign of life is %s old\n",
		       figure_seconds(a, h->age_seconds));
	if (h->trouble)
		print_trouble(h->trouble, a);
}

static const char *connected(const struct ledger_run *r, struct arena *a)
{
	return arena_printf(a, "backend %d at the target%s%s", r->pid,
			    r->seconds < 0 ? "" : ", connected for ",
			    r->seconds < 0 ? "" : figure_seconds(a, r->seconds));
}

static void print_waiting_runs(const struct overview *v, struct arena *a)
{
	for (unsigned i = 0; i < v->nruns; i++)
		if (!v->runs[i].holds)
			printf("           another run waits for it to end (%s)\n",
			       connected(&v->runs[i], a));
}

/* The ledger gets a migration when its first run's check has passed. */
static void print_not_begun(const struct overview *v, struct arena *a)
{
	printf(
	    "migration  %s\nphase      none yet: nothing is created before the check has passed\n",
	    v->migration);
	if (!v->nruns)
		puts("run        not running; `run` starts the migration");
	else if (v->runs[0].holds)
		printf("run        starting, and checking the migration (%s)\n",
		       connected(&v->runs[0], a));
	print_waiting_runs(v, a);
}

static void print_copy(const struct overview *v, struct arena *a)
{
	const struct status *s = v->status;

	printf("copied     %s rows", figure_count(a, s->rows_copied));
	if (s->bytes_copied)
		printf(", %s", figure_bytes(a, (double)s->bytes_copied));
	if (s->chunk_rate > 0)
		printf("; %s rows a second", figure_count(a, (uint64_t)s->row_rate));
	if (s->byte_rate > 0)
		printf(", %s", figure_bytes(a, s->byte_rate));
	if (v->eta_seconds >= 0)
		printf("; %s left at this rate", figure_seconds(a, v->eta_seconds));
	putchar('\n');
	for (unsigned i = 0; i < s->ntables; i++) {
		const struct table_status *t = &s->tables[i];
		printf("  %-40s %u of %u chunks, %s rows\n", t->table, t->chunks_done, t->chunks,
		       figure_count(a, t->rows));
	}
}

static void print_definitions(const struct overview *v)
{
	if (v->definitions && v->definitions_left)
		printf("indexes    %u of %u definitions are back\n",
		       v->definitions - v->definitions_left, v->definitions);
	for (unsigned i = 0; i < v->nbuilds; i++) {
		const struct activity_build *b = &v->builds[i];
		printf("  %s\n      %s", b->statement, b->phase);
		if (b->share >= 0)
			printf(", %.0f %%", b->share * 100);
		putchar('\n');
	}
}

static const char *explain(const char *bottleneck)
{
	if (strcmp(bottleneck, "apply") == 0)
		return "apply: the target takes its time";
	if (strcmp(bottleneck, "source") == 0)
		return "source: its WAL sender takes its time";
	return "reader: this program takes its time";
}

static void print_rejects(const struct status *s)
{
	for (unsigned i = 0; i < s->nrejects; i++)
		printf("%s %" PRIu64 " of %s -> %s put aside\n", i ? "          " : "rejects   ",
		       s->rejects[i].count, s->rejects[i].source, s->rejects[i].target);
}

static void print_stream(const struct overview *v, struct arena *a)
{
	const struct status *s = v->status;
	char lsn[LSN_TEXT];

	if (!s->applied)
		return;
	printf("streamed   %s changes in %s transactions, applied to %s",
	       figure_count(a, s->changes_applied), figure_count(a, s->transactions_applied),
	       lsn_format(s->applied, lsn));
	if (s->running && s->heartbeat && s->heartbeat->change_rate >= 1)
		printf("; %s changes a second",
		       figure_count(a, (uint64_t)s->heartbeat->change_rate));
	printf("\nlag        %s, %s\n",
	       v->lag_bytes < 0 ? "bytes unknown" : figure_bytes(a, (double)v->lag_bytes),
	       v->lag_seconds < 0 ? "seconds unknown" : figure_seconds(a, v->lag_seconds));
}

static void print_requests(const struct overview *v, struct arena *a)
{
	for (unsigned i = 0; i < v->nrequests; i++)
		printf("request    %s, %s for %s\n", v->requests[i].kind, v->requests[i].state,
		       figure_seconds(a, v->requests[i].seconds));
}

static void print_ledger(const struct overview *v, struct arena *a)
{
	const struct ledger_migration *m = v->status->migration;

	printf("migration  %s\nphase      %s since %s\n", v->migration, m->phase, m->phase_since);
	print_run(v->status, a);
	print_waiting_runs(v, a);
	if (m->error)
		printf("error      %s\n           since %s\n", m->error,
		       m->error_at ? m->error_at : "?");
	print_copy(v, a);
	print_definitions(v);
	print_stream(v, a);
	print_rejects(v->status);
	print_requests(v, a);
	if (m->write_pause_us >= 0)
		printf("pause      writes waited %.1f ms in the cutover\n",
		       (double)m->write_pause_us / 1000);
}

static const char *holder(const struct activity_block *b, struct arena *a)
{
	const char *age = b->age < 0 ? "?" : figure_seconds(a, b->age);

	if (!b->by_pid)
		return arena_printf(a, "prepared transaction '%s' (user %s, %s old)", b->by,
				    b->user, age);
	return arena_printf(a, "pid %d (user %s, %s, transaction %s old)", b->by_pid, b->user,
			    b->state, age);
}

static void print_waits(const struct server_view *s, const char *side, struct arena *a)
{
	for (unsigned i = 0; i < s->nblocks; i++) {
		const struct activity_block *b = &s->blocks[i];
		printf("waiting    at the %s, pid %d for %s: %s\n", side, b->pid,
		       figure_seconds(a, b->seconds), b->query);
		printf("           %s is held by %s", b->object, holder(b, a));
		printf(*b->by_query ? ": %s\n" : "%s\n", b->by_query);
	}
}

static void print_slot(const struct overview *v, struct arena *a)
{
	const struct slot_status *s = v->slot;

	if (!s || !s->exists)
		return;
	if (s->lost) {
		printf(
		    "slot       %s has lost WAL that it needed: the migration must start again\n",
		    v->slot_name);
		return;
	}
	printf("slot       %s keeps %s of WAL (%s); ", v->slot_name,
	       figure_bytes(a, (double)s->kept_bytes), s->wal_status);
	if (s->safe_bytes < 0)
		puts("the server sets no limit");
	else
		printf("%s more until the server drops it\n",
		       figure_bytes(a, (double)s->safe_bytes));
}

void status_print_text(const struct overview *v, struct arena *a)
{
	if (v->status)
		print_ledger(v, a);
	else if (!v->target.error)
		print_not_begun(v, a);
	if (v->target.error)
		printf("target     does not answer: %s\n           unknown: phase, copy, stream\n",
		       v->target.error);
	if (v->bottleneck && *v->bottleneck)
		printf("held up    by %s\n", explain(v->bottleneck));
	print_waits(&v->source, "source", a);
	print_waits(&v->target, "target", a);
	print_slot(v, a);
	if (v->source.error)
		printf("source     does not answer: %s\n           unknown: lag, WAL kept, who "
		       "blocks there\n",
		       v->source.error);
}

/* --- one line --- */

static void line_ledger(const struct overview *v, struct arena *a)
{
	const struct status *s = v->status;
	unsigned chunks = 0, done = 0;

	for (unsigned i = 0; i < s->ntables; i++) {
		chunks += s->tables[i].chunks;
		done += s->tables[i].chunks_done;
	}
	printf(" phase=%s running=%s chunks=%u/%u rows=%" PRIu64, s->migration->phase,
	       s->running ? "true" : "false", done, chunks, s->rows_copied);
	if (s->chunk_rate > 0)
		printf(" rows_per_second=%.0f", s->row_rate);
	if (v->eta_seconds >= 0)
		printf(" eta_seconds=%.0f", v->eta_seconds);
	if (v->definitions_left)
		printf(" definitions_left=%u", v->definitions_left);
	printf(" changes=%" PRIu64, s->changes_applied);
	uint64_t rejects = 0;
	for (unsigned i = 0; i < s->nrejects; i++)
		rejects += s->rejects[i].count;
	if (rejects)
		printf(" rejects=%" PRIu64, rejects);
	if (s->running && s->heartbeat)
		printf(" changes_per_second=%.0f", s->heartbeat->change_rate);
	if (v->nrequests)
		printf(" requests=%u", v->nrequests);
	if (s->running && s->heartbeat && s->heartbeat->trouble)
		printf(" retrying=%s tries=%u", log_quote(a, s->heartbeat->trouble->error),
		       s->heartbeat->trouble->tries);
	if (s->migration->error)
		printf(" error=%s", log_quote(a, s->migration->error));
}

static void line_waits(const struct server_view *s, const char *side, struct arena *a)
{
	if (s->error)
		printf(" %s_error=%s", side, log_quote(a, s->error));
	for (unsigned i = 0; i < s->nblocks; i++)
		printf(" %s_waits_for=%s", side, log_quote(a, holder(&s->blocks[i], a)));
}

void status_print_line(const struct overview *v, struct arena *a)
{
	printf("time=%s", log_time(a));
	if (v->status)
		line_ledger(v, a);
	else if (!v->target.error)
		printf(" phase=none running=%s", v->nruns && v->runs[0].holds ? "true" : "false");
	if (v->lag_bytes >= 0)
		printf(" lag_bytes=%" PRId64, v->lag_bytes);
	if (v->lag_seconds >= 0)
		printf(" lag_seconds=%.3f", v->lag_seconds);
	if (v->bottleneck && *v->bottleneck)
		printf(" bottleneck=%s", v->bottleneck);
	if (v->slot && v->slot->exists)
		printf(" wal_kept=%" PRId64, v->slot->kept_bytes);
	if (v->slot && v->slot->exists && v->slot->safe_bytes >= 0)
		printf(" wal_left=%" PRId64, v->slot->safe_bytes);
	line_waits(&v->source, "source", a);
	line_waits(&v->target, "target", a);
	putchar('\n');
}
