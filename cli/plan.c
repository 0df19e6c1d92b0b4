#include "cli/plan.h"

#include "cli/check.h"
#include "cli/command.h"

const char *plan_select_runs(const struct plan *p, const struct flow_plan *f)
{
	if (p->one_database)
		return "inside";
	return f->stage_create || f->stage ? "target" : "source";
}

static void put(struct plan_statement *out, unsigned *n, const char *name, const char *sql)
{
	if (sql)
		out[(*n)++] = (struct plan_statement){ name, sql };
}

static const char *chunked(struct arena *a, const char *const parts[2])
{
	return arena_printf(a, "%s<chunk>%s", parts[0], parts[1]);
}

unsigned plan_statements(const struct plan *p, const struct flow_plan *f, struct arena *a,
			 struct plan_statement out[PLAN_STATEMENTS])
{
	unsigned n = 0;

	if (f->stage) {
		put(out, &n, "stage", f->stage->create);
		put(out, &n, "stage out", chunked(a, f->stage->fill));
		put(out, &n, "stage in", f->stage->in);
		put(out, &n, "stage insert", f->stage_insert);
	} else if (p->one_database) {
		put(out, &n, "copy", chunked(a, f->insert_select));
	} else {
		put(out, &n, "stage", f->stage_create);
		put(out, &n, "copy out", chunked(a, f->copy_out));
		put(out, &n, "copy in", f->copy_in);
		put(out, &n, "stage insert", f->stage_insert);
	}
	put(out, &n, "insert", f->insert.sql);
	put(out, &n, "upsert", f->upsert.sql);
	put(out, &n, "renew", f->renew.sql);
	put(out, &n, "update", f->update.sql);
	put(out, &n, "delete", f->remove.sql);
	put(out, &n, "leave filter", f->leave.sql);
	put(out, &n, "move key", f->move.sql);
	put(out, &n, f->sole ? "truncate" : "copy again", f->clear.sql);
	return n;
}

static int look_ahead(struct session *s, const struct arguments *a)
{
	struct arena scratch = ARENA_INIT;
	struct err e = ERR_INIT;
	struct outlook o;
	bool ok = outlook_make(s, &o, &e);

	if (ok && a->json)
		plan_print_json(&o, &scratch);
	else if (ok)
		plan_print_text(&o, &scratch);
	arena_finish(&scratch);
	return ok ? EXIT_DONE : report_error(&e);
}

int plan_command(const struct migration *m, const struct arguments *a)
{
	return check_then(m, a, look_ahead);
}
