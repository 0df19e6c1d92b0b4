#include "transform/script.h"

#include "transform/query_tree.h"

struct reading {
	struct arena *arena;
	struct script *out;
};

static bool holds(const struct script *s, const char *role)
{
	for (unsigned i = 0; i < s->nroles; i++)
		if (strcmp(s->roles[i], role) == 0)
			return true;
	return false;
}

static void keep_role(struct reading *r, const PgQuery__RoleSpec *spec)
{
	struct script *s = r->out;

	if (spec->roletype != PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CSTRING ||
	    holds(s, spec->rolename))
		return;
	const char **more = arena_array(r->arena, s->nroles + 1, sizeof *more);
	if (s->nroles)
		memcpy(more, s->roles, s->nroles * sizeof *more);
	more[s->nroles++] = arena_strdup(r->arena, spec->rolename);
	s->roles = more;
}

static bool see(const ProtobufCMessage *m, void *context)
{
	if (TREE_IS(m, role_spec))
		keep_role(context, (const PgQuery__RoleSpec *)m);
	return true;
}

/* What the server refuses inside a transaction block. */
static bool needs_no_block(const PgQuery__Node *n)
{
	switch (n->node_case) {
	case PG_QUERY__NODE__NODE_INDEX_STMT:
		return n->index_stmt->concurrent;
	case PG_QUERY__NODE__NODE_DROP_STMT:
		return n->drop_stmt->concurrent;
	case PG_QUERY__NODE__NODE_VACUUM_STMT:
		return n->vacuum_stmt->is_vacuumcmd;
	case PG_QUERY__NODE__NODE_CREATEDB_STMT:
	case PG_QUERY__NODE__NODE_DROPDB_STMT:
	case PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT:
	case PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT:
	case PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT:
		return true;
	default:
		return false;
	}
}

static bool judge(const PgQuery__RawStmt *raw, struct query_fault *fault)
{
	const PgQuery__Node *n = raw->stmt;

	fault->at = (size_t)raw->stmt_location;
	if (n->node_case == PG_QUERY__NODE__NODE_TRANSACTION_STMT) {
		fault->text = "it runs inside a transaction of pgcrossfade's, which must not end "
			      "there; leave BEGIN, COMMIT and the like out";
		return false;
	}
	if (needs_no_block(n)) {
		fault->text = "it holds a statement that cannot run inside a transaction; do that "
			      "by a hook, after the switch";
		return false;
	}
	return true;
}

bool script_parse(struct arena *a, const char *text, struct script *out, struct query_fault *fault)
{
	struct reading r = { a, out };
	PgQuery__ParseResult *tree;

	*out = (struct script){ 0, NULL };
	if (!tree_parse(a, text, &tree, fault)) {
		const char *end = strstr(fault->text, "; ");
		fault->text = arena_printf(
		    a, "%.*s; correct the SQL",
		    (int)(end ? end - fault->text : (ptrdiff_t)strlen(fault->text)), fault->text);
		return false;
	}
	for (size_t i = 0; i < tree->n_stmts; i++)
		if (!judge(tree->stmts[i], fault))
			return false;
	tree_walk(&tree->base, see, &r);
	return true;
}
