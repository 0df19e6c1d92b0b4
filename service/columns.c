#include "service/columns.h"

#include "core/buf.h"
#include "pg/quote.h"

/* Widening a varchar or a varbit changes no value. */
static const char now_sql[] =
    "SELECT coalesce(string_agg(format('column %s of %s was number %s, of type %s', w.name, w.relation, "
    "a.attnum, format_type(a.atttypid, CASE WHEN a.atttypid IN (1043, 1562) THEN -1 "
    "ELSE a.atttypmod END)), E'\\n' ORDER BY w.ord), '') "
    "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(relation, name, ord) "
    "JOIN pg_attribute a ON a.attrelid = to_regclass(w.relation) AND a.attname = w.name "
    "AND NOT a.attisdropped";

static unsigned count_reads(const struct plan *plan)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].ncolumns; k++)
			n += plan->tables[i].columns[k].read;
	return n;
}

/* Parallel arrays: relation, column. */
static void put_reads(const struct plan *plan, struct buf *relations, struct buf *names)
{
	struct arena scratch = ARENA_INIT;
	unsigned count = count_reads(plan), n = 0;
	const char **relation = arena_array(&scratch, count + 1, sizeof *relation);
	const char **name = arena_array(&scratch, count + 1, sizeof *name);

	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].ncolumns; k++) {
			if (!plan->tables[i].columns[k].read)
				continue;
			relation[n] = plan->tables[i].quoted;
			name[n++] = plan->tables[i].columns[k].name;
		}
	buf_text_array(relations, relation, n);
	buf_text_array(names, name, n);
	arena_finish(&scratch);
}

/* One a line. */
static bool load(struct session *s, struct buf *out, struct err *e)
{
	struct buf relations = BUF_INIT, names = BUF_INIT;
	struct pg_result *r = NULL;

	put_reads(s->plan, &relations, &names);
	const char *params[] = { buf_str(&relations), buf_str(&names) };
	bool ok = pg_query_row(s->source, now_sql, 2, params, &r, e);
	if (ok)
		buf_puts(out, pg_text(r, 0, 0));
	pg_result_free(r);
	buf_free(&relations);
	buf_free(&names);
	return ok || err_wrap(e, "look at the columns of the old tables");
}

/* The first line of what was that is not the one now. */
static bool compare(const char *was, const char *now, struct err *e)
{
	while (*was && strcmp(was, now) != 0) {
		size_t a = strcspn(was, "\n"), b = strcspn(now, "\n");
		if (a != b || memcmp(was, now, a) != 0)
			return err_set(
			    e, ERR_CONFIG,
			    "%.*s, when the migration began; it was dropped, renamed or given "
			    "another type since, and its values with it; abort this migration and "
			    "start one that fits the table",
			    (int)a, was);
		was += a + (was[a] == '\n');
		now += b + (now[b] == '\n');
	}
	return true;
}

bool columns_same(struct session *s, struct err *e)
{
	struct buf now = BUF_INIT;
	bool ok = !s->columns || (load(s, &now, e) && compare(s->columns, buf_str(&now), e));

	buf_free(&now);
	return ok;
}

bool columns_settle(struct session *s, const char *known, struct err *e)
{
	struct buf now = BUF_INIT;

	if (known) {
		s->columns = known;
		return columns_same(s, e);
	}
	bool ok = load(s, &now, e) &&
		  ledger_set_columns(s->target, s->migration->name, buf_str(&now), e);
	if (ok)
		s->columns = arena_strdup(&s->arena, buf_str(&now));
	buf_free(&now);
	return ok;
}
