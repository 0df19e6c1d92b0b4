#include "sink/blame.h"

#include "pg/array.h"
#include "sink/exact.h"
#include "sink/orphans.h"
#include "sink/single.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct blame {
	struct pg *pg;
	int64_t marks; /* in this target transaction */
	struct buf kept;
	struct refusal *refusals; /* by sequence and flow */
	unsigned nrefusals, cap;
	uint64_t most;
	unsigned earlier; /* of the refusals: found before this target transaction began */
	int64_t after;    /* the last reject before it */
};

/* A mark's number: 1 is none. */
enum { FIRST_MARK = 2 };

/* Of a row that a mark holds. A larger one ends its round, as touch() cannot write it again. */
enum { MOST_KEPT = 1 << 20 };

static const char begin_sql[] =
    "CREATE TEMP SEQUENCE pgcrossfade_at;"
    "CREATE TEMP TABLE pgcrossfade_mark (at bigint, sequence bigint, flow int, kind int, op int, "
    "kept text[]);"
    "CREATE FUNCTION pg_temp.pgcrossfade_note() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN PERFORM setval(''pg_temp.pgcrossfade_at'', NEW.at); RETURN NULL; END';"
    "CREATE CONSTRAINT TRIGGER note AFTER INSERT ON pg_temp.pgcrossfade_mark "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.pgcrossfade_note()";

static const char end_sql[] =
    "DROP TABLE pg_temp.pgcrossfade_mark; DROP FUNCTION pg_temp.pgcrossfade_note();"
    "DROP SEQUENCE pg_temp.pgcrossfade_at";

struct blame *blame_create(uint64_t most)
{
	struct blame *b = xcalloc(1, sizeof *b);

	b->most = most;
	return b;
}

void blame_destroy(struct blame *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->nrefusals; i++)
		free(b->refusals[i].text);
	free(b->refusals);
	buf_free(&b->kept);
	free(b);
}

bool blame_begin(struct blame *b, struct pg *pg, struct err *e)
{
	b->pg = pg;
	b->marks = 0;
	b->earlier = b->nrefusals;
	return ledger_reject_last(pg, &b->after, e) &&
	       (pg_exec(pg, begin_sql, e) || err_wrap(e, "mark the changes of a transaction"));
}

/* --- marks --- */

static size_t row_size(const struct flow_plan *flow, const struct value *row)
{
	size_t size = 0;

	for (unsigned i = 0; i < flow->nstored; i++)
		size += row[flow->stored[i]].kind == VALUE_TEXT ? row[flow->stored[i]].text.len : 0;
	return size;
}

/* Pairs of column and value; a column that is not there was not sent. */
static bool put_row(struct buf *b, const struct flow_plan *flow, const struct value *row,
		    struct err *e)
{
	char number[24];
	unsigned sent = 0;

	for (unsigned i = 0; i < flow->nstored; i++)
		sent += row[flow->stored[i]].kind != VALUE_UNCHANGED;
	array_begin(b, WIRE_TEXT, 2 * sent);
	for (unsigned i = 0; i < flow->nstored; i++) {
		const struct value *v = &row[flow->stored[i]];
		if (v->kind == VALUE_UNCHANGED)
			continue;
		snprintf(number, sizeof number, "%u", flow->stored[i]);
		if (!wire_text(b, WIRE_TEXT, bytes_of(number), e))
			return false;
		if (v->kind == VALUE_NULL)
			wire_null(b);
		else if (!wire_text(b, WIRE_TEXT, v->text, e))
			return false;
	}
	return true;
}

static bool mark(struct blame *b, const struct step *s, struct pipe *pipe, struct err *e)
{
	const struct value *row = op_removes(s->op) ? NULL : s->row.after;
	char sql[200];

	buf_clear(&b->kept);
	if (!row || row_size(s->flow, row) > MOST_KEPT)
		array_begin(&b->kept, WIRE_TEXT, 0);
	else if (!put_row(&b->kept, s->flow, row, e))
		return false;
	snprintf(sql, sizeof sql,
		 "INSERT INTO pg_temp.pgcrossfade_mark VALUES (%" PRId64 ", %u, %u, %d, %d, $1)",
		 FIRST_MARK + b->marks++, s->change->sequence, s->flow->no, (int)s->change->kind,
		 (int)s->op);
	return pipe_send_texts(pipe, sql, buf_bytes(&b->kept), e);
}

/* Before a statement of no change: see touch(). */
static bool mark_none(struct blame *b, struct pipe *pipe, struct err *e)
{
	char sql[80];

	snprintf(sql, sizeof sql, "INSERT INTO pg_temp.pgcrossfade_mark VALUES (%" PRId64 ")",
		 FIRST_MARK + b->marks++);
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
	for (unsigned i = first; i < end; i++)
		if (!mark(b, &l->steps[i], pipe, e) || !steps_send(l, i, i + 1, pipe, params, e))
			return false;
	return true;
}

/* A statement that a mark was set before. */
struct place {
	const struct table_plan *table;
	const struct flow_plan *flow; /* NULL: it was of no change */
	uint32_t sequence;            /* of the change */
	enum change_kind kind;
	enum op op;
	const struct value *row; /* as it was written; NULL: it is not known */
};

enum { AT_SEQUENCE, AT_FLOW, AT_KIND, AT_OP, AT_KEPT };

static const char place_sql[] =
    "SELECT m.sequence, m.flow, m.kind, m.op, v.text FROM pg_temp.pgcrossfade_mark m "
    "LEFT JOIN LATERAL unnest(m.kept) AS v (text) ON true "
    "WHERE m.at = (SELECT last_value FROM pg_temp.pgcrossfade_at) AND m.flow IS NOT NULL";

static const struct value *read_row(const struct table_plan *t, const struct pg_result *r,
				    struct arena *a)
{
	struct value *row = arena_array(a, t->ncolumns, sizeof *row);

	for (unsigned i = 0; i < t->ncolumns; i++)
		row[i] = (struct value){ VALUE_UNCHANGED, { "", 0 } };
	for (unsigned i = 0; i + 1 < pg_rows(r); i += 2) {
		struct value *v = &row[pg_int(r, i, AT_KEPT)];
		const char *text = pg_value(r, i + 1, AT_KEPT);
		v->kind = text ? VALUE_TEXT : VALUE_NULL;
		if (text)
			v->text = bytes_of(arena_strdup(a, text));
	}
	return pg_rows(r) > 1 ? row : NULL;
}

static bool find_place(struct blame *b, const struct plan *plan, struct arena *a, struct place *out,
		       struct err *e)
{
	struct pg_result *r = NULL;

	*out = (struct place){ 0 };
	if (!pg_exec(b->pg, "ROLLBACK TO SAVEPOINT look; RELEASE SAVEPOINT look", e) ||
	    !pg_query(b->pg, place_sql, 0, NULL, &r, e))
		return false;
	if (pg_rows(r) &&
	    reject_flow(plan, (unsigned)pg_int(r, 0, AT_FLOW), &out->table, &out->flow)) {
		out->sequence = (uint32_t)pg_int(r, 0, AT_SEQUENCE);
		out->kind = (enum change_kind)pg_int(r, 0, AT_KIND);
		out->op = (enum op)pg_int(r, 0, AT_OP);
		out->row = read_row(out->table, r, a);
	}
	pg_result_free(r);
	return true;
}

/* --- refusals --- */

/* The first that is not before it. */
static unsigned slot_of(const struct blame *b, uint32_t sequence, unsigned flow)
{
	unsigned low = 0, high = b->nrefusals;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const struct refusal *r = &b->refusals[middle];
		if (r->sequence < sequence || (r->sequence == sequence && r->flow < flow))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct refusal *find_refusal(const struct blame *b, uint32_t sequence,
				    const struct flow_plan *flow)
{
	unsigned i = slot_of(b, sequence, flow ? flow->no : 0);

	if (i == b->nrefusals || b->refusals[i].sequence != sequence ||
	    (flow && b->refusals[i].flow != flow->no))
		return NULL;
	return &b->refusals[i];
}

const struct refusal *blame_refusal(const struct blame *b, const struct change *c,
				    const struct flow_plan *flow)
{
	return b ? find_refusal(b, c->sequence, flow) : NULL;
}

unsigned blame_count(const struct blame *b)
{
	return b->nrefusals;
}

static bool add_refusal(struct blame *b, const struct place *p, const struct err *why)
{
	unsigned i = slot_of(b, p->sequence, p->flow->no);

	if (b->nrefusals == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 16;
		b->refusals = xrealloc(b->refusals, b->cap * sizeof *b->refusals);
	}
	struct refusal *r = &b->refusals[i];
	memmove(r + 1, r, (b->nrefusals++ - i) * sizeof *r);
	*r = (struct refusal){ p->sequence, p->flow->no, p->op, false, "", xstrdup(why->text) };
	memcpy(r->sqlstate, why->sqlstate, sizeof r->sqlstate);
	return true;
}

/* What is refused already may have been let go of, and be missed: then it stays. */
static bool take_out(struct blame *b, const struct place *p, const struct err *why)
{
	if (!p->flow || p->flow->lookup || !single_may_refuse(p->op, p->kind, why))
		return false;
	struct refusal *known = find_refusal(b, p->sequence, p->flow);
	if (!known)
		return b->nrefusals < b->most && add_refusal(b, p, why);
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

/*
 * Writes the row as it is once more, which moves its check to the end: so the next look finds
 * the next one, and one round finds many. False without an error: it cannot be.
 */
static bool touch(struct blame *b, struct exact *x, const struct place *p, struct err *e)
{
	struct pipe pipe;
	struct err late = ERR_INIT;
	int failed;

	if (!p->row)
		return false;
	const struct op_row same = { p->row, p->row };
	enum op op = flow_reads_unchanged(p->flow, p->row) ? OP_UPDATE : OP_UPSERT;
	struct step s = { p->table, p->flow, NULL, op, same };
	const struct step_list one = { &s, 1, 1 };
	if (!op_statement(p->flow, op)->sql || !pipe_begin(&pipe, b->pg, e))
		return false;
	bool sent = mark_none(b, &pipe, e) && steps_send(&one, 0, 1, &pipe, x->params, e);
	return pipe_finish(&pipe, &failed, NULL, sent ? e : &late) && sent;
}

static bool explain(const struct place *p, lsn_t lsn, struct err *e)
{
	char text[LSN_TEXT];

	if (p->flow)
		return err_wrap(e, "flow into %s, %s of a row of %s, at the end of transaction %s",
				p->flow->target_name, op_name(p->op), p->table->label,
				lsn_format(lsn, text));
	return err_wrap(e, "end of transaction %s", lsn_format(lsn, text));
}

static bool is_foreign(const struct err *why)
{
	return strcmp(why->sqlstate, "23503") == 0;
}

/* Of a foreign key the row's last change is to blame, so the row may be written as it is. */
static bool may_go_on(const struct exact *x, unsigned found, const struct err *why)
{
	return is_foreign(why) && rejects_room(x->rejects, found);
}

/*
 * Rows that refer to what a change takes away may be older versions of rejects. Where one of them
 * goes, what refers to it may be the next: it is of no change, and so is its mark.
 */
static bool let_go(struct blame *b, struct exact *x, const struct place *p, const struct err *why,
		   struct err *e)
{
	struct pipe pipe;
	struct err late = ERR_INIT;
	unsigned count = 0;
	int failed;

	if (!is_foreign(why) || (p->flow && !op_removes(p->op)) || !pipe_begin(&pipe, b->pg, e))
		return false;
	bool sent = mark_none(b, &pipe, e);
	return pipe_finish(&pipe, &failed, NULL, sent ? e : &late) && sent &&
	       orphans_let_go(x, &count, e) && count > 0;
}

/* Until nothing is refused (CLEAN), or no more can be found this time. */
static enum look look_on(struct blame *b, struct exact *x, lsn_t lsn, struct err *e)
{
	enum look result = LOOK_CLEAN;
	struct arena scratch = ARENA_INIT;
	unsigned before = b->nrefusals;
	struct err why = ERR_INIT;

	while (!look(b, &why)) {
		struct place p;
		arena_reset(&scratch);
		if (why.kind != ERR_DATA || !find_place(b, x->plan, &scratch, &p, e)) {
			if (e->kind == ERR_NONE)
				*e = why;
			break;
		}
		if (let_go(b, x, &p, &why, e)) {
			err_clear(&why);
			continue;
		}
		if (e->kind != ERR_NONE)
			break;
		if (!take_out(b, &p, &why)) {
			if (result == LOOK_BLAMED)
				break;
			*e = why;
			explain(&p, lsn, e);
			result = LOOK_FAILED;
			break;
		}
		result = LOOK_BLAMED;
		if (!may_go_on(x, b->nrefusals - before, &why) || !touch(b, x, &p, e))
			break;
		err_clear(&why);
	}
	arena_finish(&scratch);
	return result;
}

enum look blame_look(struct blame *b, struct exact *x, lsn_t lsn, struct err *e)
{
	enum look result = look_on(b, x, lsn, e);

	if (result == LOOK_BLAMED && e->kind == ERR_DATA)
		err_clear(e); /* of a touch: the round ends here */
	return e->kind == ERR_NONE ? result : LOOK_FAILED;
}

/* --- what was put aside --- */

/* Two that were put aside may have stood in each other's way alone. */
static bool let_in(struct blame *b, struct exact *x, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	bool ok = true, in = true;

	while (ok && in) {
		struct reject *r = NULL;
		in = false;
		for (int64_t id = b->after; ok; id = r->id) {
			bool one = false;
			arena_reset(&scratch);
			ok = ledger_reject_after(x->pg, x->plan, id, NULL, &scratch, &r, e);
			if (!ok || !r)
				break;
			ok = single_retry(x, r, &one, e);
			in |= one;
		}
	}
	arena_finish(&scratch);
	return ok;
}

static bool log_rest(const struct blame *b, struct exact *x, struct err *e)
{
	struct arena scratch = ARENA_INIT;
	struct reject *r = NULL;
	int64_t after = b->after;
	bool ok;

	do {
		arena_reset(&scratch);
		ok = ledger_reject_after(x->pg, x->plan, after, NULL, &scratch, &r, e);
		if (ok && r) {
			after = r->id;
			single_log(x->plan, r);
		}
	} while (ok && r);
	arena_finish(&scratch);
	return ok;
}

bool blame_end(struct blame *b, struct exact *x, struct err *e)
{
	/* what an earlier transaction was refused for may have been mended meanwhile */
	bool again = b->nrefusals > 1 || b->earlier;

	if (!pg_exec(b->pg, end_sql, e))
		return err_wrap(e, "take the marks away");
	return (!again || let_in(b, x, e)) && log_rest(b, x, e);
}
