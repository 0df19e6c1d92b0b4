#include "service/columns.h"

#include "core/buf.h"
#include "pg/quote.h"

#include <string.h>

static unsigned count_columns(const struct plan *plan)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->ntables; i++)
		n += plan->tables[i].ncolumns;
	return n;
}

static const char *text_array(struct arena *a, const char *const *items, unsigned n)
{
	struct buf text = BUF_INIT;

	buf_text_array(&text, items, n);
	const char *copy = arena_strdup(a, buf_str(&text));
	buf_free(&text);
	return copy;
}

void columns_list(struct session *s)
{
	struct arena scratch = ARENA_INIT;
	unsigned room = count_columns(s->plan), n = 0;
	const char **tables = arena_array(&scratch, room, sizeof *tables);
	const char **names = arena_array(&scratch, room, sizeof *names);

	for (unsigned i = 0; i < s->plan->ntables; i++) {
		const struct table_plan *t = &s->plan->tables[i];
		for (unsigned k = 0; k < t->ncolumns; k++) {
			if (!t->columns[k].read)
				continue;
			tables[n] = t->quoted;
			names[n++] = t->columns[k].name;
		}
	}
	s->reads = (struct altered_columns){ text_array(&s->arena, tables, n),
					     text_array(&s->arena, names, n) };
	arena_finish(&scratch);
}

static bool judge(const struct altered *found, struct err *e)
{
	if (*found->lost)
		return err_set(
		    e, ERR_CONFIG,
		    "%s, when the migration began; it was dropped, renamed or given another type "
		    "since, and what was copied is not what it holds now; abort this migration "
		    "and start one that fits the table",
		    found->lost);
	return !*found->rewritten ||
	       err_set(e, ERR_CONFIG,
		       "%s was altered since the migration began, and its table rewritten: it may "
		       "hold other values now than those that were copied (ALTER COLUMN ... TYPE "
		       "... USING); abort this migration and start again",
		       found->rewritten);
}

static bool is_same(const char *was, const char *now)
{
	return was && strcmp(was, now) == 0;
}

static bool keep(struct session *s, const struct ledger_columns *was,
		 const struct ledger_columns *now, struct err *e)
{
	return (is_same(was->lines, now->lines) && is_same(was->stamps, now->stamps)) ||
	       ledger_set_columns(s->target, s->migration->name, now, e);
}

bool columns_same(struct session *s, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct ledger_columns was;
	struct altered found;
	bool ok = ledger_columns(s->target, s->migration->name, &scratch, &was, e) &&
		  altered_look(s->source, &s->reads, &was, &scratch, &found, e) &&
		  judge(&found, e) && keep(s, &was, &found.now, e);

	arena_finish(&scratch);
	return ok;
}
