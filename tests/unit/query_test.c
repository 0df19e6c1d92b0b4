/* What a row flow's SELECT may be, and which columns of old each part of it reads. */
#include "transform/query.h"

#include "core/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const columns[] = { "id", "name", "note", "tags", "Odd Col" };

enum { NCOLUMNS = sizeof columns / sizeof *columns };

static bool resolve(struct arena *a, const char *text, struct query **q, struct query_fault *fault)
{
	return query_parse(a, text, q, fault) && query_resolve(a, *q, NCOLUMNS, columns, fault);
}

/* --- refused --- */

#define ONE_ROW "; a row flow sees one row at a time"
#define SEES_ONE "; use WHERE: a row flow sees one row at a time"
#define SAME_ROW "and replaying must give the same row"

static const struct {
	const char *text;
	size_t at;
	const char *message;
} bad[] = {
	{ "", 0, "there is no statement; write a SELECT over old" },
	{ "-- nothing", 0, "there is no statement; write a SELECT over old" },
	{ "SELEC id FROM old", 0, "syntax error at or near \"SELEC\"; correct the SELECT" },
	{ "SELECT 'é', , id FROM old", 13, "syntax error at or near \",\"; correct the SELECT" },
	{ "SELECT 'open FROM old", 7,
	  "unterminated quoted string at or near \"'open FROM old\"; correct the SELECT" },
	{ "SELECT id FROM old; SELECT id FROM old", 20,
	  "a second statement starts here; a flow is one SELECT" },
	{ "DELETE FROM old", 0, "not a SELECT; a row flow is a SELECT over old" },
	{ "VALUES (1)", 8, "VALUES reads nothing; write a SELECT over old" },
	{ "SELECT id INTO x FROM old", 15,
	  "INTO creates a table; remove it: the rows go to the flow's target" },
	{ "SELECT id FROM old FOR UPDATE", 0,
	  "FOR UPDATE and FOR SHARE lock rows; remove it: a flow only reads" },
	{ "WITH d AS (DELETE FROM x RETURNING *) SELECT id FROM old", 5,
	  "WITH is not supported in a flow yet; write it as LATERAL (...)" },
	{ "SELECT id FROM old UNION SELECT id FROM old", 7,
	  "UNION, INTERSECT and EXCEPT look at several rows; write one flow for each part" },
	{ "SELECT DISTINCT ON (name) id FROM old", 20,
	  "DISTINCT ON picks one of several rows" ONE_ROW },
	{ "SELECT id FROM old GROUP BY id", 28, "GROUP BY looks at several rows" ONE_ROW },
	{ "SELECT 1 AS a FROM old HAVING true", 30, "HAVING looks at several rows" SEES_ONE },
	{ "SELECT id FROM old ORDER BY id", 28,
	  "ORDER BY has no meaning in a row flow; remove it" },
	{ "SELECT id FROM old LIMIT 1", 25, "LIMIT looks at several rows" SEES_ONE },
	{ "SELECT id FROM old OFFSET 1", 26, "OFFSET looks at several rows" SEES_ONE },
	{ "SELECT row_number() OVER () AS n FROM old", 7,
	  "a window function looks at other rows, and a row flow sees one row at a time; compute "
	  "the value from the row itself" },
	{ "SELECT 1 AS a", 0,
	  "FROM does not name old; a row flow is a SELECT over old, the row that changed" },
	{ "SELECT id FROM customer", 0,
	  "FROM does not name old; a row flow is a SELECT over old, the row that changed" },
	{ "SELECT o.id FROM old o JOIN city c ON c.id = o.id", 28,
	  "relation \"city\" has no schema; a flow reads old, and tables of the target by "
	  "schema.name" },
	{ "SELECT id, EXISTS (SELECT FROM city c) AS e FROM old", 31,
	  "relation \"city\" has no schema; a flow reads old, and tables of the target by "
	  "schema.name" },
	{ "SELECT o.id FROM old o JOIN pg_catalog.pg_class c ON c.oid = o.id", 28,
	  "\"pg_catalog.pg_class\" is no table of the target that a flow may read; join one of "
	  "your own" },
	{ "SELECT o.id FROM old o JOIN x.app.city c ON c.id = o.id", 28,
	  "\"app.city\" is no table of the target that a flow may read; join one of your own" },
	{ "SELECT c.id FROM app.city c JOIN old o ON c.id = o.id", 17,
	  "old does not stand first in FROM; begin with it and join the others to it" },
	{ "SELECT c.id FROM app.city c LEFT JOIN old o ON c.id = o.id", 17,
	  "old does not stand first in FROM; begin with it and join the others to it" },
	{ "SELECT id FROM (SELECT * FROM old) o", 23,
	  "old does not stand first in FROM; begin with it and join the others to it" },
	{ "SELECT o.id FROM old o RIGHT JOIN app.city c ON c.id = o.id", 17,
	  "a RIGHT or FULL join makes rows without old; put old first and use LEFT JOIN" },
	{ "SELECT o.id FROM old o JOIN (app.a JOIN app.b ON true) ON true", 29,
	  "joins in parentheses; write them one after the other, old first" },
	{ "SELECT id FROM old JOIN app.old ON app.old.id = id", 24,
	  "\"old\" names the changed row; give app.old an alias" },
	{ "SELECT o.id, (SELECT max(o.id) FROM app.o) AS m FROM old o", 36,
	  "\"o\" names the changed row; give app.o an alias" },
	{ "SELECT o.id, (SELECT max(o.id) FROM app.x AS o) AS m FROM old o", 0, NULL },
	{ "SELECT id FROM old JOIN app.city c ON c.id = old.id, (WITH w AS (SELECT 1) SELECT 2) s",
	  54, "WITH is not supported in a flow yet; write it as LATERAL (...)" },
	{ "SELECT id FROM old TABLESAMPLE system (1)", 15, NULL },
	{ "SELECT a.id FROM old a, old b", 24,
	  "old is the one row that changed: name it once, in the SELECT's own FROM; other rows "
	  "cannot be looked at" },
	{ "SELECT id, (SELECT max(id) FROM old) AS m FROM old", 32,
	  "old is the one row that changed: name it once, in the SELECT's own FROM; other rows "
	  "cannot be looked at" },
	{ "SELECT x FROM old AS o(x)", 14, "old's columns keep their names; rename the outputs" },
	{ "SELECT id FROM old NATURAL JOIN unnest(tags) t", 15,
	  "NATURAL joins by whatever names agree; write the condition with ON" },
	{ "SELECT * FROM old", 7,
	  "name the columns instead of *: an output list must not change when the table does" },
	{ "SELECT id, old.* FROM old", 11,
	  "name the columns instead of *: an output list must not change when the table does" },
	{ "SELECT id + 1 FROM old", 7,
	  "the output has no name; add AS and the target column's name" },
	{ "SELECT id, name AS id FROM old", 11,
	  "output \"id\" stands twice; remove or rename one" },
	{ "SELECT FROM old", 0, "the SELECT has no outputs; name the target's columns" },
	{ "SELECT CURRENT_DATE AS d FROM old", 7,
	  "CURRENT_... and LOCALTIME... depend on when and by whom they are run, " SAME_ROW
	  "; use a column of old" },
	{ "SELECT id FROM old WHERE name = current_user", 32,
	  "CURRENT_... and LOCALTIME... depend on when and by whom they are run, " SAME_ROW
	  "; use a column of old" },
	{ "SELECT ' Today '::date AS d FROM old", 7,
	  "the literal depends on when it is read, " SAME_ROW
	  "; write a fixed date or a column of old" },
	{ "SELECT timestamptz 'now' AS d FROM old", 7,
	  "the literal depends on when it is read, " SAME_ROW
	  "; write a fixed date or a column of old" },
	{ "SELECT $1 AS a FROM old", 7, "there are no parameters in a flow; write the value" },
	{ "SELECT nme AS a FROM old", 7, "old has no column \"nme\"; did you mean \"name\"?" },
	{ "SELECT id FROM old WHERE zebra > 1", 25,
	  "old has no column \"zebra\"; name one that it has" },
	{ "SELECT old.nam AS a FROM old", 7, "old has no column \"nam\"; did you mean \"name\"?" },
	{ "SELECT old.id FROM old o", 7, "old is called o in this FROM; write o." },
	{ "SELECT x.id FROM old", 7, "FROM has no relation \"x\"; write old.column" },
	{ "SELECT id FROM old, LATERAL unnest(tgs) t", 35,
	  NULL }, /* may be a name from elsewhere: the server says */
	{ "SELECT o.id FROM old o, unnest(o.tags) AS o", 24, NULL },
};

static void every_bad_select_has_its_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct arena a = ARENA_INIT;
		struct query *q = NULL;
		struct query_fault fault = { 0, NULL };
		bool ok = resolve(&a, bad[i].text, &q, &fault);
		if (bad[i].message) {
			if (ok)
				fail_msg("taken: %s", bad[i].text);
			assert_string_equal(fault.text, bad[i].message);
			if (fault.at != bad[i].at)
				fail_msg("%s: at %zu", bad[i].text, fault.at);
		}
		arena_finish(&a);
	}
}

/* --- taken --- */

/* Per output and for WHERE and FROM: a letter for each column read, in order of columns. */
static const struct {
	const char *text;
	const char
	    *outputs; /* name:reads, where + is something else in FROM, = is plain; constants */
	const char *filter, *from;
	const char *key; /* narrowed to the first output, without filter */
} good[] = {
	{ "SELECT id FROM old", "id:=0", "", "", "SELECT id FROM old" },
	{ "SELECT id::bigint AS k, name FROM old;", "k:=0 name:=1", "", "",
	  "SELECT id::bigint AS k FROM old" },
	{ "SELECT old.id::bigint FROM old", "id:=0", "", "", "SELECT old.id::bigint FROM old" },
	{ "SELECT id, name || note AS both FROM old WHERE note <> ''", "id:=0 both:12", "2", "",
	  "SELECT id FROM old" },
	{ "SELECT o.id, upper(o.name) AS name FROM old AS o", "id:=0 name:1", "", "",
	  "SELECT o.id FROM old o" },
	{ "SELECT \"Odd Col\" AS odd, id FROM old", "odd:=4 id:=0", "", "",
	  "SELECT \"Odd Col\" AS odd FROM old" },
	{ "SELECT id, to_jsonb(old) AS doc FROM old", "id:=0 doc:01234", "", "",
	  "SELECT id FROM old" },
	{ "SELECT id, to_jsonb(o.*) AS doc FROM old o", "id:=0 doc:01234", "", "",
	  "SELECT id FROM old o" },
	{ "SELECT id, 'x' AS kind FROM old", "id:=0 kind:'x", "", "", "SELECT id FROM old" },
	{ "SELECT id, 7 AS a, '7'::text AS b, -7 AS c FROM old", "id:=0 a:7 b: c:-7", "", "",
	  "SELECT id FROM old" },
	{ "SELECT id, (SELECT max(t) FROM unnest(tags) t) AS top FROM old", "id:=0 top:3+", "", "",
	  "SELECT id FROM old" },
	{ "SELECT id, t AS tag FROM old, LATERAL unnest(tags) AS t WHERE t <> name", "id:=0 tag:3+",
	  "13+", "3", "SELECT id FROM old" },
	{ "SELECT t AS tag, id FROM old CROSS JOIN unnest(tags) AS t", "tag:3+ id:=0", "", "3",
	  "SELECT t AS tag FROM old CROSS JOIN unnest(tags) t" },
	{ "SELECT DISTINCT name FROM old WHERE note IS NOT NULL", "name:=1", "2", "",
	  "SELECT DISTINCT name FROM old" },
	{ "SELECT m.new AS id, c.id AS city FROM old o JOIN app.map m ON m.old = o.id LEFT JOIN "
	  "app.city c ON c.name = o.name",
	  "id:0+ city:1+", "", "0+",
	  "SELECT m.new AS id FROM old o JOIN app.map m ON m.old = o.id" },
	{ "SELECT o.id, c.id AS city FROM old o JOIN app.city c ON c.name = o.name WHERE c.open",
	  "id:=0 city:1+", "1+", "1+", "SELECT o.id FROM old o" },
	{ "SELECT b.x AS k, id FROM old, app.a a JOIN app.b b ON b.y = a.z", "k:+ id:=0", "", "+",
	  "SELECT b.x AS k FROM old, app.a a JOIN app.b b ON b.y = a.z" },
	{ "SELECT id, (SELECT c.id FROM app.city c WHERE c.name = old.name) AS city FROM old",
	  "id:=0 city:1+", "", "", "SELECT id FROM old" },
	{ "SELECT b.x AS k FROM old o JOIN app.a a ON a.q = o.note JOIN app.b b ON b.y = a.z",
	  "k:2+", "", "2+",
	  "SELECT b.x AS k FROM old o JOIN app.a a ON a.q = o.note JOIN app.b b ON b.y = a.z" },
	{ "SELECT o.id, x.ord, x.tag FROM old o, LATERAL unnest(o.tags) WITH ORDINALITY AS x(tag, ord)",
	  "id:=0 ord:3+ tag:3+", "", "3", "SELECT o.id FROM old o" },
	{ "SELECT id, tag FROM old CROSS JOIN unnest(tags) WITH ORDINALITY AS x(tag, ord) LEFT JOIN "
	  "app.city c ON c.name = old.name",
	  "id:=0 tag:3+", "", "3", "SELECT id FROM old" },
	{ "SELECT id, CASE WHEN name IS NULL THEN note ELSE name END AS n FROM old", "id:=0 n:12",
	  "", "", "SELECT id FROM old" },
	{ "SELECT extract(year FROM id) AS y, substring(name FROM 2 FOR 3) AS s, id FROM old",
	  "y:0 s:1 id:=0", "", "", "SELECT extract ('year' FROM id) AS y FROM old" },
};

static void put_reads(struct buf *b, const struct query_reads *r)
{
	for (unsigned i = 0; i < NCOLUMNS; i++)
		if (r->column[i])
			buf_printf(b, "%u", i);
	if (r->elsewhere)
		buf_putc(b, '+');
}

static void put_outputs(struct buf *b, const struct query *q)
{
	for (unsigned i = 0; i < q->noutputs; i++) {
		const struct query_output *o = &q->outputs[i];
		buf_printf(b, "%s%s:%s", i ? " " : "", o->name, o->plain ? "=" : "");
		put_reads(b, &o->reads);
		buf_puts(b, o->constant ? o->constant : "");
	}
}

static void check_text(const char *what, struct buf *b, const char *want)
{
	if (strcmp(buf_str(b), want) != 0)
		fail_msg("%s: want %s, got %s", what, want, buf_str(b));
	buf_clear(b);
}

static void every_read_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct arena a = ARENA_INIT;
		struct buf b = BUF_INIT;
		struct query *q = NULL;
		struct query_fault fault = { 0, NULL };
		struct query_reads reads;
		unsigned first = 0;
		if (!resolve(&a, good[i].text, &q, &fault))
			fail_msg("%s: %s", good[i].text, fault.text);
		put_outputs(&b, q);
		check_text(good[i].text, &b, good[i].outputs);
		put_reads(&b, &q->filter);
		check_text(good[i].text, &b, good[i].filter);
		put_reads(&b, &q->from);
		check_text(good[i].text, &b, good[i].from);
		assert_string_equal(query_narrow(&a, q, 1, &first, false, &reads), good[i].key);
		buf_free(&b);
		arena_finish(&a);
	}
}

static void the_text_stays_the_users_own(void **state)
{
	struct arena a = ARENA_INIT;
	struct query *q = NULL;
	struct query_fault fault;

	(void)state;
	assert_true(query_parse(&a, "SELECT id -- the key\nFROM old ; -- end", &q, &fault));
	assert_string_equal(q->text, "SELECT id -- the key\nFROM old ");
	assert_false(q->filtered);
	arena_finish(&a);
}

static void names_are_collected(void **state)
{
	struct arena a = ARENA_INIT;
	struct query *q = NULL;
	struct query_fault fault;

	(void)state;
	assert_true(
	    query_parse(&a,
			"SELECT app.f(id, 2) AS a, (SELECT max(t) FROM unnest(tags) t) AS b, "
			"name::app.mood OPERATOR(app.+) note COLLATE \"C\" AS c FROM old",
			&q, &fault));
	assert_int_equal(q->functions.count, 3);
	assert_string_equal(q->functions.names[0].schema, "app");
	assert_int_equal(q->functions.names[0].nargs, 2);
	assert_true(q->functions.names[0].top);
	assert_false(q->functions.names[1].top);
	assert_string_equal(q->types.names[0].name, "mood");
	assert_string_equal(q->operators.names[0].schema, "app");
	assert_true(q->collates);
	arena_finish(&a);
}

/* Deep trees are refused before the parser's recursion meets them. */
static void depth_is_bounded(void **state)
{
	static const struct {
		const char *open, *close, *message;
	} rows[] = {
		{ "1+", "", "the SELECT has more than 4000 words; make it shorter" },
		{ "NOT ", "", "the SELECT has more than 4000 words; make it shorter" },
		{ "(", ")", "the SELECT has more than 4000 words; make it shorter" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena a = ARENA_INIT;
		struct buf b = BUF_INIT;
		struct query *q = NULL;
		struct query_fault fault;
		buf_puts(&b, "SELECT ");
		for (unsigned k = 0; k < 10000; k++)
			buf_puts(&b, rows[i].open);
		buf_puts(&b, "1");
		for (unsigned k = 0; k < 10000; k++)
			buf_puts(&b, rows[i].close);
		buf_puts(&b, " AS a FROM old");
		assert_false(query_parse(&a, b.data, &q, &fault));
		assert_string_equal(fault.text, rows[i].message);
		buf_free(&b);
		arena_finish(&a);
	}
}

static void parentheses_are_bounded(void **state)
{
	struct arena a = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct query *q = NULL;
	struct query_fault fault;

	(void)state;
	buf_puts(&b, "SELECT ");
	for (unsigned k = 0; k < 101; k++)
		buf_puts(&b, "(SELECT ");
	buf_puts(&b, "1");
	for (unsigned k = 0; k < 101; k++)
		buf_puts(&b, ")");
	assert_false(query_parse(&a, b.data, &q, &fault));
	assert_string_equal(fault.text,
			    "the SELECT nests more than 100 parentheses; make it flatter");
	buf_free(&b);
	arena_finish(&a);
}

/* Every strict prefix of every text above ends in an answer. */
static void every_prefix_ends_well(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		for (size_t len = strlen(good[i].text); len-- > 0;) {
			struct arena a = ARENA_INIT;
			struct query *q = NULL;
			struct query_fault fault = { 0, NULL };
			char *text = strndup(good[i].text, len);
			if (!resolve(&a, text, &q, &fault))
				assert_non_null(fault.text);
			free(text);
			arena_finish(&a);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_select_has_its_message),
		cmocka_unit_test(every_read_is_found),
		cmocka_unit_test(the_text_stays_the_users_own),
		cmocka_unit_test(names_are_collected),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(parentheses_are_bounded),
		cmocka_unit_test(every_prefix_ends_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
