#include "service/rejected.h"

#include "core/buf.h"
#include "core/log.h"
#include "pg/ledger.h"
#include "pg/ledger_reject.h"
#include "snapshot/definitions.h"

#include <inttypes.h>

/* The next name of the list at *at, which moves behind it. False: no more. */
static bool next_name(const char **at, struct bytes *name)
{
	const char *s = *at;

	while (*s == ',' || *s == ' ')
		s++;
	size_t len = strcspn(s, ", ");
	*name = (struct bytes){ s, len };
	*at = s + len;
	return len > 0;
}

static bool is_target(const struct migration *m, struct bytes name)
{
	struct buf target = BUF_INIT;
	bool found = false;

	for (unsigned i = 0; !found && i < m->nflows; i++) {
		buf_clear(&target);
		buf_printf(&target, "%s.%s", m->flows[i].to.schema, m->flows[i].to.name);
		found = bytes_equal(name, buf_bytes(&target));
	}
	buf_free(&target);
	return found;
}

bool rejected_check_names(const struct migration *m, const char *names, struct err *e)
{
	struct bytes name;

	while (next_name(&names, &name))
		if (!is_target(m, name))
			return err_set(e, ERR_CONFIG,
				       "no flow of the migration writes a table %.*s; name target "
				       "tables as schema.name",
				       (int)name.len, name.data);
	return true;
}

static bool listed(const char *names, const char *wanted)
{
	struct bytes name;

	while (next_name(&names, &name))
		if (bytes_equal(name, bytes_of(wanted)))
			return true;
	return false;
}

static void put_flow(struct buf *text, const struct reject_count *c)
{
	buf_printf(text, "%s%" PRIu64 " row%s of %s -> %s (%s)", text->len ? "; " : "", c->count,
		   c->count == 1 ? "" : "s", c->source, c->target, c->example);
}

static void put_name(struct buf *names, const char *name)
{
	if (!listed(buf_str(names), name))
		buf_printf(names, "%s%s", names->len ? "," : "", name);
}

/* Children that were copied stay, and wait for parents that were put aside. */
static bool put_waiting(struct pg *target, const char *migration, const char *accepted,
			struct arena *a, struct buf *left, struct buf *names, struct err *e)
{
	struct ledger_definition *all;
	unsigned n = 0;
	bool ok = ledger_definitions(target, migration, a, &all, &n, e);

	for (unsigned i = 0; ok && i < n; i++) {
		if (!definition_waits(&all[i]) || listed(accepted, all[i].table))
			continue;
		buf_printf(left, "%sforeign key %s of %s waits for the parents of some rows",
			   left->len ? "; " : "", all[i].name, all[i].table);
		put_name(names, all[i].table);
	}
	return ok;
}

bool rejected_gate(struct pg *target, const char *migration, const char *accepted, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct buf left = BUF_INIT, names = BUF_INIT;
	struct reject_count *counts;
	unsigned n = 0;
	bool ok = ledger_reject_counts(target, migration, &scratch, &counts, &n, e);

	for (unsigned i = 0; ok && i < n; i++) {
		if (listed(accepted, counts[i].target))
			continue;
		put_flow(&left, &counts[i]);
		put_name(&names, counts[i].target);
	}
	ok = ok && put_waiting(target, migration, accepted, &scratch, &left, &names, e);
	if (ok && left.len)
		ok = err_set(
		    e, ERR_CONFIG,
		    "rows were refused and put aside: %.1500s; mend what refuses them and run "
		    "`pgcrossfade retry`, or switch without them: --accept-rejects %.300s",
		    left.data, names.data);
	buf_free(&left);
	buf_free(&names);
	arena_finish(&scratch);
	return ok;
}

void rejected_log(struct pg *target, const char *migration)
{
	struct arena scratch = ARENA_INIT;
	struct reject_count *counts;
	struct err ignored = ERR_INIT;
	unsigned n = 0;

	if (ledger_reject_counts(target, migration, &scratch, &counts, &n, &ignored))
		for (unsigned i = 0; i < n; i++)
			log_event(LOG_WARN, "cutover.rejects_accepted",
				  "table=%s target=%s rows=%" PRIu64,
				  log_name(&scratch, counts[i].source),
				  log_name(&scratch, counts[i].target), counts[i].count);
	arena_finish(&scratch);
}
