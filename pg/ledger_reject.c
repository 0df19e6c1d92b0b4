#include "pg/ledger_reject.h"

#include "core/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- values as text[] parameters of jsonb_object() --- */

static void put_item(struct buf *b, const char *data, size_t len)
{
	buf_putc(b, '"');
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '"' || data[i] == '\\')
			buf_putc(b, '\\');
		buf_putc(b, data[i]);
	}
	buf_putc(b, '"');
}

/* Names and values, without those that were not sent. */
struct object {
	struct buf names, values;
};

static void object_make(struct object *o, const struct table_plan *t, const struct value *row,
			const unsigned *columns, unsigned count)
{
	const char *separator = "{";

	*o = (struct object){ BUF_INIT, BUF_INIT };
	for (unsigned i = 0; i < count; i++) {
		const struct value *v = &row[columns[i]];
		if (v->kind == VALUE_UNCHANGED)
			continue;
		buf_puts(&o->names, separator);
		buf_puts(&o->values, separator);
		put_item(&o->names, t->columns[columns[i]].name,
			 strlen(t->columns[columns[i]].name));
		if (v->kind == VALUE_NULL)
			buf_puts(&o->values, "NULL");
		else
			put_item(&o->values, v->text.data, v->text.len);
		separator = ",";
	}
	buf_puts(&o->names, *separator == '{' ? "{}" : "}");
	buf_puts(&o->values, *separator == '{' ? "{}" : "}");
}

static void object_free(struct object *o)
{
	buf_free(&o->names);
	buf_free(&o->values);
}

unsigned reject_held_columns(const struct flow_plan *flow, const unsigned **columns)
{
	*columns = flow->keyed ? flow->key_reads : flow->reads;
	return flow->keyed ? flow->nkey_reads : flow->nreads;
}

/* A hash as bigint reads it. */
static const char *hash_text(char text[24], const struct flow_plan *flow, const struct value *row)
{
	snprintf(text, 24, "%" PRId64, (int64_t)values_hash(row, flow->identity, flow->nidentity));
	return text;
}

/* --- writing --- */

enum { PLACES = 5 };

/* flow, hash, lsn, sequence, chunk */
static void format_places(char text[PLACES][24], const struct flow_plan *flow,
			  const struct reject *r)
{
	snprintf(text[0], sizeof text[0], "%u", flow->no);
	hash_text(text[1], flow, r->row);
	lsn_format(r->lsn, text[2]);
	snprintf(text[3], sizeof text[3], "%" PRId64, r->sequence);
	snprintf(text[4], sizeof text[4], "%" PRId64, r->chunk);
}

bool ledger_reject_add(struct pg *target, const char *migration, const struct table_plan *table,
		       const struct flow_plan *flow, const struct reject *r, struct err *e)
{
	struct object key, row, held = { BUF_INIT, BUF_INIT };
	const unsigned *held_columns;
	unsigned nheld = reject_held_columns(flow, &held_columns);
	char place[PLACES][24];

	format_places(place, flow, r);
	object_make(&key, table, r->row, flow->identity, flow->nidentity);
	object_make(&row, table, r->row, flow->stored, flow->nstored);
	if (r->held)
		object_make(&held, table, r->held, held_columns, nheld);
	const char *params[] = { migration,
				 place[0],
				 table->label,
				 flow->target_name,
				 place[1],
				 place[2],
				 r->sequence < 0 ? NULL : place[3],
				 r->chunk < 0 ? NULL : place[4],
				 r->sqlstate,
				 r->error,
				 buf_str(&key.names),
				 buf_str(&key.values),
				 buf_str(&row.names),
				 buf_str(&row.values),
				 r->held ? buf_str(&held.names) : NULL,
				 r->held ? buf_str(&held.values) : NULL };
	bool ok = pg_query(target,
			   "INSERT INTO pgcrossfade.reject (migration, flow, source, target, "
			   "key_hash, lsn, sequence, chunk, sqlstate, error, key, row, held) "
			   "VALUES ($1, $2::int, $3, $4, $5::bigint, $6::pg_lsn, $7::bigint, "
			   "$8::bigint, $9, $10, jsonb_object($11::text[], $12::text[]), "
			   "jsonb_object($13::text[], $14::text[]), "
			   "jsonb_object($15::text[], $16::text[]))",
			   16, params, NULL, e);
	object_free(&key);
	object_free(&row);
	object_free(&held);
	return ok || err_wrap(e, "put a refused row of %s aside", table->label);
}

bool ledger_reject_remove(struct pg *target, int64_t id, struct err *e)
{
	char number[24];
	const char *params[] = { number };

	snprintf(number, sizeof number, "%" PRId64, id);
	return pg_query(target, "DELETE FROM pgcrossfade.reject WHERE id = $1::bigint", 1, params,
			NULL, e) ||
	       err_wrap(e, "remove a reject");
}

bool ledger_reject_not_held(struct pg *target, int64_t id, struct err *e)
{
	char number[24];
	const char *params[] = { number };

	snprintf(number, sizeof number, "%" PRId64, id);
	return pg_query(target, "UPDATE pgcrossfade.reject SET held = NULL WHERE id = $1::bigint",
			1, params, NULL, e) ||
	       err_wrap(e, "write a reject");
}

bool ledger_reject_tried(struct pg *target, int64_t id, const char *sqlstate, const char *error,
			 struct err *e)
{
	char number[24];
	const char *params[] = { number, sqlstate, error };

	snprintf(number, sizeof number, "%" PRId64, id);
	return pg_query(target,
			"UPDATE pgcrossfade.reject SET tries = tries + 1, "
			"tried_at = clock_timestamp(), sqlstate = $2, error = $3 "
			"WHERE id = $1::bigint",
			3, params, NULL, e) ||
	       err_wrap(e, "write a reject");
}

bool ledger_rejects_clear(struct pg *target, const char *migration, const char *source,
			  uint64_t *removed, struct err *e)
{
	const char *params[] = { migration, source };
	struct pg_result *r = NULL;
	bool ok = pg_query(target,
			   "DELETE FROM pgcrossfade.reject WHERE migration = $1 AND source = $2", 2,
			   params, &r, e);

	if (ok && removed)
		*removed = pg_affected(r);
	pg_result_free(r);
	return ok || err_wrap(e, "remove the rejects of %s", source);
}

/* --- reading --- */

bool ledger_rejects_known(struct pg *target, const char *migration, struct arena *a,
			  struct reject_known **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	if (!pg_query(target,
		      "SELECT source, key_hash FROM pgcrossfade.reject WHERE migration = $1", 1,
		      &migration, &r, e))
		return err_wrap(e, "read rejects");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct reject_known){ arena_strdup(a, pg_text(r, i, 0)),
						   (uint64_t)pg_int(r, i, 1) };
	pg_result_free(r);
	return true;
}

static unsigned column_of(const struct table_plan *t, const char *name)
{
	unsigned i = 0;

	while (i < t->ncolumns && strcmp(t->columns[i].name, name) != 0)
		i++;
	return i;
}

/* Rows name, value; a column that is not among them was not sent. */
static const struct value *read_row(const struct table_plan *t, const struct pg_result *r,
				    struct arena *a)
{
	struct value *row = arena_array(a, t->ncolumns, sizeof *row);

	for (unsigned i = 0; i < t->ncolumns; i++)
		row[i] = (struct value){ VALUE_UNCHANGED, { "", 0 } };
	for (unsigned i = 0; i < pg_rows(r); i++) {
		unsigned column = column_of(t, pg_text(r, i, 0));
		const char *text = pg_value(r, i, 1);
		if (column == t->ncolumns)
			continue;
		row[column].kind = text ? VALUE_TEXT : VALUE_NULL;
		if (text)
			row[column].text = bytes_of(arena_strdup(a, text));
	}
	return row;
}

static bool load_object(struct pg *target, const struct table_plan *t, int64_t id, const char *sql,
			struct arena *a, const struct value **out, struct err *e)
{
	char number[24];
	const char *params[] = { number };
	struct pg_result *r = NULL;

	snprintf(number, sizeof number, "%" PRId64, id);
	if (!pg_query(target, sql, 1, params, &r, e))
		return false;
	*out = read_row(t, r, a);
	pg_result_free(r);
	return true;
}

/* The result has id, flow, held or not, lsn, sequence, chunk, sqlstate, error. */
#define REJECT_COLUMNS                                                                             \
	"id, flow, held IS NOT NULL, lsn, coalesce(sequence, -1), coalesce(chunk, -1), "           \
	"sqlstate, error"

static bool load_reject(struct pg *target, const struct table_plan *t, const struct pg_result *r,
			struct arena *a, struct reject **out, struct err *e)
{
	struct reject *j = arena_zalloc(a, sizeof *j);

	*j = (struct reject){ .id = pg_int(r, 0, 0),
			      .flow = (unsigned)pg_int(r, 0, 1),
			      .lsn = pg_lsn(r, 0, 3),
			      .sequence = pg_int(r, 0, 4),
			      .chunk = pg_int(r, 0, 5),
			      .sqlstate = arena_strdup(a, pg_text(r, 0, 6)),
			      .error = arena_strdup(a, pg_text(r, 0, 7)) };
	*out = j;
	return load_object(target, t, j->id,
			   "SELECT o.* FROM pgcrossfade.reject r, jsonb_each_text(r.row) o "
			   "WHERE r.id = $1::bigint",
			   a, &j->row, e) &&
	       (!pg_bool(r, 0, 2) ||
		load_object(target, t, j->id,
			    "SELECT o.* FROM pgcrossfade.reject r, jsonb_each_text(r.held) o "
			    "WHERE r.id = $1::bigint",
			    a, &j->held, e));
}

bool ledger_reject_find(struct pg *target, const char *migration, const struct reject_of *of,
			struct arena *a, struct reject **out, struct err *e)
{
	const struct table_plan *table = of->table;
	const struct flow_plan *flow = of->flow;
	char no[16], hash[24];
	struct pg_result *r = NULL;
	struct object key;

	*out = NULL;
	snprintf(no, sizeof no, "%u", flow->no);
	object_make(&key, table, of->row, flow->identity, flow->nidentity);
	const char *params[] = { migration, no, hash_text(hash, flow, of->row), buf_str(&key.names),
				 buf_str(&key.values) };
	bool ok = pg_query(target,
			   "SELECT " REJECT_COLUMNS " FROM pgcrossfade.reject "
			   "WHERE migration = $1 AND flow = $2::int AND key_hash = $3::bigint "
			   "AND key = jsonb_object($4::text[], $5::text[]) ORDER BY id LIMIT 1",
			   5, params, &r, e) &&
		  (!pg_rows(r) || load_reject(target, table, r, a, out, e));
	pg_result_free(r);
	object_free(&key);
	return ok || err_wrap(e, "read the rejects of %s", table->label);
}

bool reject_flow(const struct plan *plan, unsigned no, const struct table_plan **table,
		 const struct flow_plan **flow)
{
	for (unsigned i = 0; i < plan->ntables; i++)
		for (unsigned k = 0; k < plan->tables[i].nflows; k++)
			if (plan->tables[i].flows[k].no == no) {
				*table = &plan->tables[i];
				*flow = &plan->tables[i].flows[k];
				return true;
			}
	return false;
}

static bool read_next(struct pg *target, const struct plan *plan, const struct pg_result *r,
		      struct arena *a, struct reject **out, struct err *e)
{
	const struct table_plan *table;
	const struct flow_plan *flow;

	if (!pg_rows(r))
		return true;
	if (!reject_flow(plan, (unsigned)pg_int(r, 0, 1), &table, &flow))
		return err_set(e, ERR_CONFIG, "flow %s is not in the file any more",
			       pg_text(r, 0, 1));
	return load_reject(target, table, r, a, out, e);
}

bool ledger_reject_after(struct pg *target, const struct plan *plan, int64_t id,
			 const char *flow_target, struct arena *a, struct reject **out,
			 struct err *e)
{
	char number[24];
	const char *params[] = { plan->migration, number, flow_target };
	struct pg_result *r = NULL;

	*out = NULL;
	snprintf(number, sizeof number, "%" PRId64, id);
	bool ok = pg_query(target,
			   "SELECT " REJECT_COLUMNS " FROM pgcrossfade.reject "
			   "WHERE migration = $1 AND id > $2::bigint "
			   "AND ($3::text IS NULL OR target = $3::text) ORDER BY id LIMIT 1",
			   3, params, &r, e) &&
		  read_next(target, plan, r, a, out, e);
	pg_result_free(r);
	return ok || err_wrap(e, "read rejects");
}

bool ledger_reject_last(struct pg *target, int64_t *id, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(target, "SELECT coalesce(max(id), 0) FROM pgcrossfade.reject", 0,
			       NULL, &r, e);

	*id = ok ? pg_int(r, 0, 0) : 0;
	pg_result_free(r);
	return ok || err_wrap(e, "read rejects");
}

bool ledger_reject_total(struct pg *target, const char *migration, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;
	bool ok = pg_query_row(target,
			       "SELECT count(*) FROM pgcrossfade.reject WHERE migration = $1", 1,
			       &migration, &r, e);

	*count = ok ? (unsigned)pg_int(r, 0, 0) : 0;
	pg_result_free(r);
	return ok || err_wrap(e, "count rejects");
}

/* --- for people --- */

/* Of a table without key it is the row itself, which is nobody's to read in a log. */
#define KEY_TEXT "CASE WHEN key = row THEN 'no key' ELSE left(key::text, 200) END"

#define FIRST_LINE "split_part(error, E'\\n', 1)"

bool ledger_reject_counts(struct pg *target, const char *migration, struct arena *a,
			  struct reject_count **out, unsigned *count, struct err *e)
{
	struct pg_result *r = NULL;

	*count = 0;
	if (!pg_query(target,
		      "SELECT source, target, count(*), (array_agg(format('%s: %s', " KEY_TEXT
		      ", " FIRST_LINE ") ORDER BY coalesce(tried_at, rejected_at) DESC, id))[1] "
		      "FROM pgcrossfade.reject WHERE migration = $1 GROUP BY flow, source, target "
		      "ORDER BY flow",
		      1, &migration, &r, e))
		return err_wrap(e, "count rejects");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = (struct reject_count){ arena_strdup(a, pg_text(r, i, 0)),
						   arena_strdup(a, pg_text(r, i, 1)),
						   (uint64_t)pg_int(r, i, 2),
						   arena_strdup(a, pg_text(r, i, 3)) };
	pg_result_free(r);
	return true;
}

static struct reject_line read_line(const struct pg_result *r, unsigned i, struct arena *a)
{
	return (struct reject_line){ .source = arena_strdup(a, pg_text(r, i, 0)),
				     .target = arena_strdup(a, pg_text(r, i, 1)),
				     .key = arena_strdup(a, pg_text(r, i, 2)),
				     .place = arena_strdup(a, pg_text(r, i, 3)),
				     .sqlstate = arena_strdup(a, pg_text(r, i, 4)),
				     .error = arena_strdup(a, pg_text(r, i, 5)),
				     .rejected_at = arena_strdup(a, pg_text(r, i, 6)),
				     .tries = (uint64_t)pg_int(r, i, 7),
				     .held = pg_bool(r, i, 8) };
}

bool ledger_reject_lines(struct pg *target, const char *migration, const char *flow_target,
			 struct arena *a, struct reject_line **out, unsigned *count, struct err *e)
{
	const char *params[] = { migration, flow_target };
	struct pg_result *r = NULL;

	*count = 0;
	if (!pg_query(
		target,
		"SELECT source, target, " KEY_TEXT ", CASE WHEN chunk IS NULL "
		"THEN format('transaction %s, change %s', lsn, sequence) "
		"ELSE format('chunk %s, snapshot %s', chunk, lsn) END, sqlstate, " FIRST_LINE
		", rejected_at, tries, held IS NOT NULL "
		"FROM pgcrossfade.reject "
		"WHERE migration = $1 AND ($2::text IS NULL OR target = $2::text) ORDER BY id",
		2, params, &r, e))
		return err_wrap(e, "read rejects");
	*count = pg_rows(r);
	*out = arena_array(a, *count, sizeof **out);
	for (unsigned i = 0; i < *count; i++)
		(*out)[i] = read_line(r, i, a);
	pg_result_free(r);
	return true;
}
