#include "service/unchanged.h"

#include "pg/tree.h"
#include "service/partitions.h"

#include <string.h>

static bool same_publications(struct session *s, struct arena *scratch, struct err *e)
{
	const char *how;

	if (!publication_differences(s->source, s->published, scratch, &how, e))
		return false;
	return !how ||
	       err_set(e, ERR_CONFIG,
		       "publication %s: changes may be missing in the stream; abort and start "
		       "again (if nobody has written the old tables since, putting the "
		       "publication back is enough)",
		       how);
}

static bool same_names(struct session *s, struct arena *scratch, struct err *e)
{
	const char *tables;

	if (!publication_lacks(s->source, s->published, scratch, &tables, e))
		return false;
	return !tables ||
	       err_set(e, ERR_CONFIG,
		       "%s: renamed, or dropped and made again, or taken out of the publication, "
		       "since the migration began; abort and start again%s",
		       tables,
		       session_by_name(s) ? ""
					  : " (if nobody has written the table since, giving it "
					    "its name back is enough)");
}

static bool no_children(struct session *s, struct arena *scratch, struct err *e)
{
	struct tree_child *child;

	if (!tree_find_child(s->source, s->childless, scratch, &child, e))
		return false;
	return !child ||
	       err_set(e, ERR_CONFIG,
		       "%s inherits from %s since the migration began, and a flow from a "
		       "parent does not read its children's rows; ALTER TABLE ... NO INHERIT, "
		       "or say only: true, and start run again",
		       child->name, child->parent);
}

static bool judge_columns(const struct altered *found, struct err *e)
{
	if (*found->lost)
		return err_set(
		    e, ERR_CONFIG,
		    "%s, when the migration began; it was dropped, renamed or given another type "
		    "since, and what was copied is not what it holds now; abort this migration "
		    "and start one that fits the table",
		    found->lost);
	if (*found->renamed)
		return err_set(
		    e, ERR_CONFIG,
		    "%s was renamed since the migration began, perhaps back again; wal2json sends "
		    "rows by the name that their table has, and what was written under another "
		    "one is missing; abort and start again",
		    found->renamed);
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

static bool keep_columns(struct session *s, const struct ledger_columns *was,
			 const struct ledger_columns *now, struct err *e)
{
	return (is_same(was->lines, now->lines) && is_same(was->stamps, now->stamps)) ||
	       ledger_set_columns(s->target, s->migration->name, now, e);
}

bool unchanged_columns(struct session *s, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct ledger_columns was;
	struct altered found;
	bool ok = ledger_columns(s->target, s->migration->name, &scratch, &was, e) &&
		  altered_look(s->source, &s->reads, &was, &scratch, &found, e) &&
		  judge_columns(&found, e) && keep_columns(s, &was, &found.now, e);

	arena_finish(&scratch);
	return ok;
}

bool unchanged_tables(struct session *s, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	bool ok = same_publications(s, &scratch, e) && same_names(s, &scratch, e) &&
		  no_children(s, &scratch, e) && unchanged_columns(s, e);

	arena_finish(&scratch);
	return ok;
}

bool unchanged(struct session *s, bool *told, struct err *e)
{
	return unchanged_tables(s, e) && partitions_check(s, told, e);
}
