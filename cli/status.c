#include "cli/command.h"

#include "service/session.h"
#include "service/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <yajl/yajl_gen.h>

/* --- as JSON --- */

static void put_key(yajl_gen g, const char *key)
{
	yajl_gen_string(g, (const unsigned char *)key, strlen(key));
}

static void put_text(yajl_gen g, const char *key, const char *value)
{
	put_key(g, key);
	if (value)
		yajl_gen_string(g, (const unsigned char *)value, strlen(value));
	else
		yajl_gen_null(g);
}

static void put_count(yajl_gen g, const char *key, uint64_t value)
{
	put_key(g, key);
	yajl_gen_integer(g, (long long)value);
}

static void put_number(yajl_gen g, const char *key, double value)
{
	put_key(g, key);
	yajl_gen_double(g, value);
}

static void put_bool(yajl_gen g, const char *key, bool value)
{
	put_key(g, key);
	yajl_gen_bool(g, value);
}

static void put_tables(yajl_gen g, const struct status *s)
{
	put_key(g, "tables");
	yajl_gen_array_open(g);
	for (unsigned i = 0; i < s->ntables; i++) {
		yajl_gen_map_open(g);
		put_text(g, "table", s->tables[i].table);
		put_count(g, "chunks", s->tables[i].chunks);
		put_count(g, "chunks_done", s->tables[i].chunks_done);
		put_count(g, "rows", s->tables[i].rows);
		put_count(g, "bytes", s->tables[i].bytes);
		yajl_gen_map_close(g);
	}
	yajl_gen_array_close(g);
}

static void put_figures(yajl_gen g, const struct status *s)
{
	char lsn[LSN_TEXT];

	put_count(g, "rows_copied", s->rows_copied);
	put_count(g, "bytes_copied", s->bytes_copied);
	put_number(g, "copy_seconds", s->copy_seconds);
	put_count(g, "changes_applied", s->changes_applied);
	put_count(g, "transactions_applied", s->transactions_applied);
	put_text(g, "applied_lsn", s->applied ? lsn_format(s->applied, lsn) : NULL);
	put_count(g, "lag_bytes", s->lag_bytes);
	put_number(g, "lag_seconds", s->lag_seconds);
	put_key(g, "write_pause_ms");
	if (s->migration->write_pause_us >= 0)
		yajl_gen_double(g, (double)s->migration->write_pause_us / 1000);
	else
		yajl_gen_null(g);
}

static void print_json(const struct status *s)
{
	yajl_gen g = yajl_gen_alloc(NULL);
	const unsigned char *text;
	size_t len;

	yajl_gen_config(g, yajl_gen_beautify, 1);
	yajl_gen_map_open(g);
	put_text(g, "migration", s->migration->name);
	put_text(g, "phase", s->migration->phase);
	put_text(g, "phase_since", s->migration->phase_since);
	put_bool(g, "running", s->running);
	put_text(g, "activity", s->running && s->heartbeat ? s->heartbeat->activity : NULL);
	put_text(g, "error", s->migration->error);
	put_tables(g, s);
	put_figures(g, s);
	yajl_gen_map_close(g);
	yajl_gen_get_buf(g, &text, &len);
	fwrite(text, 1, len, stdout);
	yajl_gen_free(g);
}

/* --- for people --- */

static void print_tables(const struct status *s)
{
	for (unsigned i = 0; i < s->ntables; i++) {
		const struct table_status *t = &s->tables[i];
		printf("  %-40s %u of %u chunks, %" PRIu64 " rows\n", t->table, t->chunks_done,
		       t->chunks, t->rows);
	}
}

static void print_stream(const struct status *s)
{
	char lsn[LSN_TEXT];

	if (!s->applied)
		return;
	printf("streamed   %" PRIu64 " changes in %" PRIu64 " transactions, applied to %s\n",
	       s->changes_applied, s->transactions_applied, lsn_format(s->applied, lsn));
	printf("lag        %" PRIu64 " bytes, %.1f s\n", s->lag_bytes, s->lag_seconds);
}

static void print_text(const struct status *s)
{
	printf("migration  %s\n", s->migration->name);
	printf("phase      %s since %s\n", s->migration->phase, s->migration->phase_since);
	if (s->running && s->heartbeat)
		printf("run        %s, pid %" PRId64 " on %s\n", s->heartbeat->activity,
		       s->heartbeat->pid, s->heartbeat->host);
	else
		puts("run        not running");
	if (s->migration->error)
		printf("error      %s\n", s->migration->error);
	printf("copied     %" PRIu64 " rows\n", s->rows_copied);
	print_tables(s);
	print_stream(s);
	if (s->migration->write_pause_us >= 0)
		printf("pause      writes waited %.1f ms in the cutover\n",
		       (double)s->migration->write_pause_us / 1000);
}

static int unknown(const struct migration *m)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_CONFIG, "the target's ledger does not know migration %s; `run` starts it",
		m->name);
	return report_error(&e);
}

int status_command(const struct migration *m, const struct arguments *a)
{
	struct arena arena = ARENA_INIT;
	struct pg_options target = { m->target, "pgcrossfade status", NULL, false };
	struct err e = ERR_INIT;
	struct status *s = NULL;
	struct pg *pg = NULL;
	int code = EXIT_DONE;

	if (!pg_open(&target, &pg, &e) || !status_load(pg, m->name, &arena, &s, &e))
		code = report_error(&e);
	else if (!s)
		code = unknown(m);
	else if (a->json)
		print_json(s);
	else
		print_text(s);
	pg_close(pg);
	arena_finish(&arena);
	return code;
}
