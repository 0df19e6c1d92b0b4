#include "sink/ops.h"

#include "pg/array.h"

#include <stddef.h>
#include <stdlib.h>

static const struct {
	const char *name;
	size_t statement; /* offset in struct flow_plan */
	bool removes;
	bool reads_before; /* all parameters; OP_MOVE: the first nkey_reads */
	bool keeps;        /* has flags for values that were not sent, or does not write them */
} ops[OP_COUNT] = {
	[OP_REMOVE] = { "remove", offsetof(struct flow_plan, remove), true, true, false },
	[OP_LEAVE] = { "leave", offsetof(struct flow_plan, leave), true, false, true },
	[OP_CLEAR] = { "clear", offsetof(struct flow_plan, clear), true, false, false },
	[OP_CLEAR_COPIED] = { "clear", offsetof(struct flow_plan, clear_copied), true, true,
			      false },
	[OP_RENEW] = { "renew", offsetof(struct flow_plan, renew), false, false, false },
	[OP_INSERT] = { "insert", offsetof(struct flow_plan, insert), false, false, false },
	[OP_UPSERT] = { "upsert", offsetof(struct flow_plan, upsert), false, false, false },
	[OP_UPDATE] = { "update", offsetof(struct flow_plan, update), false, false, true },
	[OP_MOVE] = { "move", offsetof(struct flow_plan, move), false, false, true },
};

const struct statement *op_statement(const struct flow_plan *flow, enum op op)
{
	return (const struct statement *)((const char *)flow + ops[op].statement);
}

const char *op_name(enum op op)
{
	return ops[op].name;
}

bool op_removes(enum op op)
{
	return ops[op].removes;
}

void op_params_finish(struct op_params *p)
{
	for (unsigned i = 0; i < p->count; i++)
		buf_free(&p->bufs[i]);
	free(p->bufs);
	*p = (struct op_params){ 0, NULL };
}

static void need_params(struct op_params *p, unsigned count)
{
	if (count <= p->count)
		return;
	p->bufs = xrealloc(p->bufs, count * sizeof *p->bufs);
	while (p->count < count)
		p->bufs[p->count++] = (struct buf)BUF_INIT;
}

/* A value that was not sent is NULL beside its keep flag; elsewhere it would be lost. */
static bool put_value(struct buf *b, enum op op, const struct param *p, const struct value *v,
		      struct err *e)
{
	if (p->kind == PARAM_KEEP)
		wire_bool(b, v->kind == VALUE_UNCHANGED);
	else if (v->kind == VALUE_TEXT)
		return wire_text(b, p->wire, v->text, e);
	else if (v->kind == VALUE_NULL || ops[op].keeps)
		wire_null(b);
	else
		return err_set(
		    e, ERR_CONFIG,
		    "a long value that did not change was not sent with a row whose key "
		    "moved, and the row cannot be moved in place; abort, set REPLICA IDENTITY "
		    "FULL on the old table and start again");
	return true;
}

static bool from_before(const struct flow_plan *flow, enum op op, unsigned param)
{
	return op == OP_MOVE ? param < flow->nkey_reads : ops[op].reads_before;
}

bool op_send(struct pipe *pipe, const struct flow_plan *flow, enum op op, const struct op_row *rows,
	     unsigned nrows, struct op_params *params, struct err *e)
{
	const struct statement *s = op_statement(flow, op);
	bool ok = true;

	if (!s->sql)
		return err_set(
		    e, ERR_CONFIG,
		    "flow into %s is insert_only, but a row of its old table was changed or "
		    "deleted; abort, set REPLICA IDENTITY FULL and leave insert_only out",
		    flow->target_name);
	bool one = nrows == 1 && s->one;
	struct bytes *values = xcalloc(s->nparams, sizeof *values);
	need_params(params, s->nparams);
	for (unsigned i = 0; ok && i < s->nparams; i++) {
		struct buf *b = &params->bufs[i];
		bool before = from_before(flow, op, i);
		buf_clear(b);
		array_begin(b, s->params[i].wire, nrows);
		for (unsigned r = 0; ok && r < nrows; r++) {
			const struct value *row = before ? rows[r].before : rows[r].after;
			ok = put_value(b, op, &s->params[i], &row[s->params[i].column], e);
		}
		values[i] = ok && one ? array_only(buf_bytes(b)) : buf_bytes(b);
	}
	ok = ok && (one ? pipe_send_one(pipe, s, values, e) : pipe_send_arrays(pipe, s, values, e));
	free(values);
	return ok;
}

bool flow_key_same(const struct flow_plan *flow, const struct value *before,
		   const struct value *after)
{
	for (unsigned i = 0; i < flow->nkey_reads; i++) {
		const struct value *a = &before[flow->key_reads[i]],
				   *b = &after[flow->key_reads[i]];
		if (a->kind != b->kind || (a->kind == VALUE_TEXT && !bytes_equal(a->text, b->text)))
			return false;
	}
	return true;
}

bool flow_reads_unchanged(const struct flow_plan *flow, const struct value *after)
{
	for (unsigned i = 0; i < flow->nreads; i++)
		if (after[flow->reads[i]].kind == VALUE_UNCHANGED)
			return true;
	return false;
}

bool flow_leaves(const struct flow_plan *flow, bool kept)
{
	return flow->filtered && !(flow->owned && kept);
}
