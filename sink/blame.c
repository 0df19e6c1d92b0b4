#include "sink/blame.h"

#include "sink/exact.h"
#include "sink/single.h"

#include <stdio.h>
#include <stdlib.h>

/* A statement that a mark was set before. */
struct place {
	const struct table_plan *table;
	const struct flow_plan *flow;
	const struct change *change; /* NULL: made here, see touch() */
	enum op op;
};

struct blame {
	struct pg *pg;
	struct place *places;
	unsigned count, cap;
	struct refusal *refusals;
	unsigned nrefusals, refusals_cap;
};

/* A mark's number: 1 is none. */
enum { FIRST_MARK = 2 };

static const char begin_sql[] =
    "CREATE TEMP SEQUENCE pgcrossfade_at;"
    "CREATE TEMP TABLE pgcrossfade_mark (at int);"
    "CREATE FUNCTION pg_temp.pgcrossfade_note() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN PERFORM setval(''pg_temp.pgcrossfade_at'', NEW.at); RETURN NULL; END';"
    "CREATE CONSTRAINT TRIGGER note AFTER INSERT ON pg_temp.pgcrossfade_mark "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.pgcrossfade_note()";

static const char end_sql[] =
    "DROP TABLE pg_temp.pgcrossfade_mark; DROP FUNCTION pg_temp.pgcrossfade_note();"
    "DROP SEQUENCE pg_temp.pgcrossfade_at";

bool blame_begin(struct pg *pg, struct blame **out, struct err *e)
{
	if (!pg_exec(pg, begin_sql, e))
		return err_wrap(e, "mark the changes of a transaction");
	*out = xcalloc(1, sizeof **out);
	(*out)->pg = pg;
	return true;
}

bool blame_end(struct blame *b, struct err *e)
{
	return pg_exec(b->pg, end_sql, e) || err_wrap(e, "take the marks away");
}

void blame_destroy(struct blame *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->nrefusals; i++)
		free(b->refusals[i].text);
	free(b->places);
	free(b->refusals);
	free(b);
}

/* --- marks --- */

static bool mark(struct blame *b, const struct place *p, struct pipe *pipe, struct err *e)
{
	char sql[80];

	if (b->count == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 256;
		b->places = xrealloc(b->places, b->cap * sizeof *b->places);
	}
	b->places[b->count] = *p;
	snprintf(sql, sizeof sql, "INSERT INTO pg_temp.pgcrossfade_mark VALUES (%u)",
		 FIRST_MARK + b->count++);
	return pipe_send(pipe, sql, e);
}

unsigned blame_stride(const struct blame *b)
{
	return b ? 2 : 1;
}

bool blame_send(struct blame *b, const struct step_list *l, unsigned first, unsigned end,
		struct pipe *pipe, struct op_params *params, struct err *e)
{
	if (!b)
		return steps_send(l, first, end, pipe, params, e);
	for (unsigned i = first; i < end; i++) {
		const struct step *s = &l->steps[i];
		const struct place p = { s->table, s->flow, s->change, s->op };
		if (!mark(b, &p, pipe, e) || !steps_send(l, i, i + 1, pipe, params, e))
			return false;
	}
	return true;
}

/* --- refusals --- */

static struct refusal *find_refusal(const struct blame *b, const struct change *c,
				    const struct flow_plan *flow)
{
	for (unsigned i = b ? b->nrefusals : 0; i-- > 0;)
		if (b->refusals[i].change == c && (!flow || b->refusals[i].flow == flow))
			return &b->refusals[i];
	return NULL;
}

const struct refusal *blame_refusal(const struct blame *b, const struct change *c,
				    const struct flow_plan *flow)
{
	return find_refusal(b, c, flow);
}

unsigned blame_count(const struct blame *b)
{
	return b->nrefusals;
}

static bool add_refusal(struct blame *b, const struct place *p, const struct err *why)
{
	if (b->nrefusals == b->refusals_cap) {
		b->refusals_cap = b->refusals_cap ? b->refusals_cap * 2 : 16;
		b->refusals = xrealloc(b->refusals, b->refusals_cap * sizeof *b->refusals);
	}
	struct refusal *r = &b->refusals[b->nrefusals++];
	*r = (struct refusal){ p->change, p->flow, p->op, false, "", xstrdup(why->text) };
	memcpy(r->sqlstate, why->sqlstate, sizeof r->sqlstate);
	return true;
}

/* What is refused already may have been let go of, and be missed: then it stays. */
static bool take_out(struct blame *b, const struct place *p, const struct err *why)
{
	if (!p->change || p->flow->lookup || !single_may_refuse(p->op, p->change->kind, why))
		return false;
	struct refusal *known = find_refusal(b, p->change, p->flow);
	if (!known)
		return add_refusal(b, p, why);
	if (known->keep)
		return false;
	known->keep = true;
	return true;
}

/* --- looking --- */

static bool look(struct blame *b, struct err *e)
{
	return pg_exec(b->pg,
		       "SAVEPOINT look; SELECT setval('pg_temp.pgcrossfade_at', 1);"
		       "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
		       "RELEASE SAVEPOINT look",
		       e);
}

/* *out NULL: it was no statement of ours. */
static bool find_place(struct blame *b, const struct place **out, struct err *e)
{
	struct pg_result *r = NULL;

	*out = NULL;
	if (!pg_exec(b->pg, "ROLLBACK TO SAVEPOINT look; RELEASE SAVEPOINT look", e) ||
	    !pg_query_row(b->pg, "SELECT last_value FROM pg_temp.pgcrossfade_at", 0, NULL, &r, e))
		return false;
	int64_t at = pg_int(r, 0, 0) - FIRST_MARK;
	if (at >= 0 && at < b->count)
		*out = &b->places[at];
	pg_result_free(r);
	return true;
}

/*
 * Writes the row as it is once more, which moves its check to the end: so the next look finds
 * the next one, and one round finds many. False without an error: it cannot be.
 */
static bool touch(struct blame *b, struct exact *x, const struct place *p, struct err *e)
{
	const struct place here = { 0 };
	struct arena scratch = ARENA_INIT;
	const struct binding *bound = bindings_find(x->bindings, p->change->relation);
	const struct value *row = binding_row(bound, &p->change->after, &scratch);
	const struct op_row same = { row, row };
	enum op op = flow_reads_unchanged(p->flow, row) ? OP_UPDATE : OP_UPSERT;
	struct step s = { p->table, p->flow, p->change, op, same };
	struct step_list one = { &s, 1, 1 };
	struct pipe pipe;
	struct err late = ERR_INIT;
	int failed;
	bool ok = op_statement(p->flow, op)->sql != NULL && pipe_begin(&pipe, b->pg, e);

	if (ok) {
		bool sent = mark(b, &here, &pipe, e) && steps_send(&one, 0, 1, &pipe, x->params, e);
		ok = pipe_finish(&pipe, &failed, NULL, sent ? e : &late) && sent;
	}
	arena_finish(&scratch);
	return ok;
}

static bool explain(const struct place *p, lsn_t lsn, struct err *e)
{
	char text[LSN_TEXT];

	if (p)
		return err_wrap(e, "flow into %s, %s of a row of %s, at the end of transaction %s",
				p->flow->target_name, op_name(p->op), p->table->label,
				lsn_format(lsn, text));
	return err_wrap(e, "end of transaction %s", lsn_format(lsn, text));
}

/* Of a foreign key the row's last change is to blame, so the row may be written as it is. */
static bool may_go_on(const struct blame *b, const struct exact *x, const struct err *why)
{
	return strcmp(why->sqlstate, "23503") == 0 && rejects_room(x->rejects, b->nrefusals);
}

enum look blame_look(struct blame *b, struct exact *x, lsn_t lsn, struct err *e)
{
	enum look result = LOOK_CLEAN;
	struct err why = ERR_INIT;

	while (!look(b, &why)) {
		const struct place *found;
		if (why.kind != ERR_DATA || !find_place(b, &found, e)) {
			if (e->kind == ERR_NONE)
				*e = why;
			return LOOK_FAILED;
		}
		if (!found || !take_out(b, found, &why)) {
			if (result == LOOK_BLAMED)
				return result;
			*e = why;
			explain(found, lsn, e);
			return LOOK_FAILED;
		}
		result = LOOK_BLAMED;
		const struct place copy = *found; /* a mark may move them */
		if (!may_go_on(b, x, &why) || !touch(b, x, &copy, e))
			break;
		err_clear(&why);
	}
	if (e->kind == ERR_DATA)
		err_clear(e); /* of a touch: the round ends here */
	return e->kind == ERR_NONE ? result : LOOK_FAILED;
}
