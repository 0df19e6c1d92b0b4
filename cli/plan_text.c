#include "cli/figures.h"
#include "cli/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 100 };

/* Prose, wrapped; the first line goes on where the cursor stands at column `at`. */
static void put_prose(const char *text, int indent, int at)
{
	int column = at;
	bool first = true;

	while (*text) {
		int len = (int)strcspn(text, " ");
		if (!first && column + 1 + len > WIDTH) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		printf("%.*s", len, text);
		column += len;
		first = false;
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

/* SQL as it is sent, each of its lines indented. */
static void put_sql(const char *sql, int indent)
{
	while (*sql) {
		size_t len = strcspn(sql, "\n");
		if (len)
			printf("%*s%.*s\n", indent, "", (int)len, sql);
		sql += len + (sql[len] == '\n');
	}
}

static void print_head(const struct outlook *o, struct arena *a)
{
	const struct migration *m = o->session->migration;

	printf("Plan of migration %s: %u table%s, %s, %u chunk%s\n", m->name,
	       o->session->plan->ntables, o->session->plan->ntables == 1 ? "" : "s",
	       figure_bytes(a, (double)o->copy.bytes), o->copy.chunks,
	       o->copy.chunks == 1 ? "" : "s");
	puts("Nothing was created or changed.");
	if (o->known_phase)
		printf(
		    "The ledger has this migration, in phase %s: run goes on from there. Below it "
		    "is told from the start.\n",
		    o->known_phase);
}

/* --- steps --- */

static void print_step(const struct outlook_step *s, unsigned no)
{
	printf("%3u  %-6s  ", no, s->where);
	put_prose(s->what, 13, 13);
	if (s->lock) {
		printf("%13slocks: ", "");
		put_prose(s->lock, 20, 20);
	}
	for (unsigned i = 0; i < s->nsql; i++)
		put_sql(s->sql[i], 15);
}

static void print_steps(const struct outlook *o)
{
	const char *phase = "";

	for (unsigned i = 0; i < o->nsteps; i++) {
		if (strcmp(phase, o->steps[i].phase) != 0)
			printf("\n== %s\n", o->steps[i].phase);
		phase = o->steps[i].phase;
		print_step(&o->steps[i], i + 1);
	}
}

/* --- tables and flows --- */

static const char *key_words(const struct table_plan *t, struct arena *a)
{
	const char *words = "by";

	if (!t->chunk.nkey)
		return "by ctid, under one snapshot: an interrupted copy of it starts over";
	for (unsigned i = 0; i < t->chunk.nkey; i++)
		words = arena_printf(a, "%s%s %s", words, i ? "," : "",
				     t->columns[t->chunk.key[i]].name);
	return words;
}

static void print_table(const struct table_plan *t, const struct table_cut *cut, struct arena *a)
{
	unsigned chunks = cut->count + 1;
	const char *rows = cut->rows < 0 ? ""
					 : arena_printf(a, ", about %s rows",
							figure_count(a, (uint64_t)cut->rows));

	printf("  ");
	put_prose(arena_printf(a, "%s: %s%s; %u chunk%s of about %s, %s", t->label,
			       figure_bytes(a, (double)cut->bytes), rows, chunks,
			       chunks == 1 ? "" : "s", figure_bytes(a, (double)cut->bytes / chunks),
			       key_words(t, a)),
		  4, 2);
}

static void print_tables(const struct outlook *o, struct arena *a)
{
	puts("\n== tables, as they would be cut now");
	for (unsigned i = 0; i < o->session->plan->ntables; i++)
		print_table(&o->session->plan->tables[i], &o->copy.cuts[i], a);
}

static const char *where_words(const struct plan *p, const struct flow_plan *f)
{
	if (p->one_database)
		return "inside the database";
	return f->stage_create || f->stage ? "at the target, over raw rows in a temporary table"
					   : "at the source";
}

static void print_flow(const struct outlook *o, const struct table_plan *t,
		       const struct flow_plan *f, struct arena *a)
{
	struct plan_statement list[PLAN_STATEMENTS];
	unsigned n = plan_statements(o->session->plan, f, a, list);

	printf("\n  %s -> %s\n%4s", t->label, f->target_name, "");
	put_prose(arena_printf(a, "While copying the SELECT runs %s: %s.",
			       where_words(o->session->plan, f), f->copy_why),
		  4, 4);
	if (o->session->plan->max_rank)
		printf("    Rank %u of %u: parents are written first, children removed first.\n",
		       f->rank + 1, o->session->plan->max_rank + 1);
	for (unsigned i = 0; i < n; i++) {
		printf("    %s:\n", list[i].name);
		put_sql(list[i].sql, 6);
	}
}

static void print_flows(const struct outlook *o, struct arena *a)
{
	const struct plan *p = o->session->plan;

	puts(
	    "\n== flows, with the statements as they are sent; <chunk> stands for a chunk's bounds");
	for (unsigned i = 0; i < p->ntables; i++)
		for (unsigned k = 0; k < p->tables[i].nflows; k++)
			print_flow(o, &p->tables[i], &p->tables[i].flows[k], a);
}

/* --- time --- */

static void print_estimate(const struct outlook *o, struct arena *a)
{
	puts("\n== time and space");
	printf("  ");
	if (o->copy.seconds >= 0)
		put_prose(
		    arena_printf(a,
				 "Copy: at least %s for %s. Assumed: %u worker%s, each at the "
				 "speed of one chunk of %s read just now (%s in %s); writing at "
				 "the target, and building indexes, are not in it.",
				 figure_seconds(a, o->copy.seconds),
				 figure_bytes(a, (double)o->copy.bytes), o->copy.workers,
				 o->copy.workers == 1 ? "" : "s", o->copy.sampled->label,
				 figure_bytes(a, (double)o->copy.sampled_bytes),
				 figure_seconds(a, o->copy.sampled_seconds)),
		    2, 2);
	else
		puts("Copy: the tables are empty.");
	printf("  ");
	put_prose(arena_printf(
		      a,
		      "WAL: the source writes %s a second (measured for a second just now) "
		      "and keeps all of it from the slot on: %s during that copy.",
		      figure_bytes(a, o->wal_rate),
		      figure_bytes(a, o->wal_rate * (o->copy.seconds > 0 ? o->copy.seconds : 0))),
		  2, 2);
}

void plan_print_text(const struct outlook *o, struct arena *a)
{
	print_head(o, a);
	print_estimate(o, a);
	print_tables(o, a);
	print_steps(o);
	print_flows(o, a);
}
