/* Folding: what a batch's changes come to for each row. A row of the table is a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/buf.h"
#include "sink/fold.h"

#include <stdlib.h>

/*
 * changes   I key v | U key v | M old new v (a moved key) | D key | T (TRUNCATE), in one
 *           transaction; v ~ is a long value that was not sent, - is NULL;
 *           X key v: D of that row, in a table where two rows may have one key for a moment
 * want      a word a row in order of first touch: +key=v inserted, *key=v changed,
 *           !key=v deleted and inserted again, -key deleted, . nothing in the end;
 *           "in order" where folding would lose the order
 */
static const struct fold_row {
	const char *name, *changes, *want;
} rows[] = {
	{ "one insert", "I 1 a", "+1=a" },
	{ "insert and update are an insert", "I 1 a U 1 b", "+1=b" },
	{ "the last update counts", "U 1 a U 1 b U 1 c", "*1=c" },
	{ "an unchanged value keeps the earlier one", "U 1 a U 1 ~", "*1=a" },
	{ "unchanged from first to last", "U 1 ~ U 1 ~", "*1=~" },
	{ "a value after an unchanged one", "U 1 ~ U 1 b", "*1=b" },
	{ "NULL is a value", "U 1 a U 1 -", "*1=-" },
	{ "insert, then unchanged", "I 1 a U 1 ~", "+1=a" },
	{ "one delete", "D 1", "-1" },
	{ "update and delete are a delete", "U 1 a D 1", "-1" },
	{ "insert and delete are nothing", "I 1 a D 1", "." },
	{ "delete and insert replace", "D 1 I 1 b", "!1=b" },
	{ "delete, insert, update", "D 1 I 1 b U 1 c", "!1=c" },
	{ "delete, insert, delete", "D 1 I 1 b D 1", "-1" },
	{ "insert, delete, insert", "I 1 a D 1 I 1 c", "+1=c" },
	{ "rows do not mix", "I 1 a U 2 b D 3 I 12 c", "+1=a *2=b -3 +12=c" },
	{ "a moved key", "M 1 2 b", "-1 +2=b" },
	{ "a moved key comes back", "M 1 2 b M 2 1 c", "!1=c ." },
	{ "a chain of moves", "M 1 2 a M 2 3 b", "-1 . +3=b" },
	{ "keys swapped over a third", "M 1 9 a M 2 1 b M 9 2 a", "!1=b . !2=a" },
	{ "inserted, then moved", "I 1 a M 1 2 b", ". +2=b" },
	{ "inserted, then moved with its long value", "I 1 a M 1 2 ~", ". +2=a" },
	{ "moved with a long value from before", "M 1 2 ~", "in order" },
	{ "two rows of one key", "I 1 a I 1 b", "in order" },
	{ "update of what is gone", "D 1 U 1 a", "in order" },
	{ "delete of what is gone", "D 1 D 1", "in order" },
	{ "TRUNCATE", "I 1 a T I 2 b", "in order" },
	{ "the same row goes", "U 1 a X 1 a", "-1" },
	{ "another row of that key goes", "I 1 b X 1 a", "in order" },
	{ "another row of that key is what moves", "M 1 2 a X 2 b", "in order" },
};

/* --- the table that is changed --- */

static const struct plan_column plan_columns[] = {
	{ .name = "id", .type = "integer", .type_oid = 23, .identity = true, .read = true },
	{ .name = "v", .type = "text", .type_oid = 25, .toastable = true, .read = true },
};
static const unsigned key[] = { 0 };
static struct flow_plan flow = { .keyed = true };
static struct table_plan table = { .schema = "s",
				   .name = "t",
				   .label = "s.t",
				   .ncolumns = 2,
				   .columns = plan_columns,
				   .nkey = 1,
				   .key = key,
				   .nflows = 1,
				   .flows = &flow };
static const struct plan plan = { .migration = "m", .ntables = 1, .tables = &table };

static const struct column columns[] = { { "id", 23, true }, { "v", 25, false } };
static const struct relation relation = {
	.schema = "s", .name = "t", .whole = true, .ncolumns = 2, .columns = columns
};

/* --- changes out of words --- */

static struct value value_of(const char *word)
{
	if (strcmp(word, "~") == 0)
		return (struct value){ VALUE_UNCHANGED, { "", 0 } };
	if (strcmp(word, "-") == 0)
		return (struct value){ VALUE_NULL, { "", 0 } };
	return (struct value){ VALUE_TEXT, bytes_of(word) };
}

static struct row row_of(struct arena *a, const char *id, const char *v)
{
	struct row r = { arena_array(a, 2, sizeof *r.values) };

	r.values[0] = value_of(id);
	r.values[1] = value_of(v);
	return r;
}

static const char *next_word(char **rest)
{
	const char *word = strtok_r(NULL, " ", rest);

	assert_non_null(word);
	return word;
}

static struct change *change_of(struct arena *a, char kind, char **rest)
{
	struct change *c = arena_zalloc(a, sizeof *c);
	const char *id = kind == 'T' ? "" : next_word(rest);

	c->relation = &relation;
	c->kind = kind == 'I'                  ? CHANGE_INSERT
		  : kind == 'D' || kind == 'X' ? CHANGE_DELETE
		  : kind == 'T'                ? CHANGE_TRUNCATE
					       : CHANGE_UPDATE;
	c->has_before = kind == 'M' || c->kind == CHANGE_DELETE;
	if (c->has_before)
		c->before = row_of(a, id, kind == 'X' ? next_word(rest) : "~");
	if (kind == 'M')
		id = next_word(rest);
	if (c->kind == CHANGE_INSERT || c->kind == CHANGE_UPDATE)
		c->after = row_of(a, id, next_word(rest));
	return c;
}

static struct transaction *transaction_of(const char *changes)
{
	struct transaction *t = transaction_create();
	char *text = arena_strdup(&t->arena, changes), *rest;

	for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		transaction_append(t, change_of(&t->arena, w[0], &rest));
	return t;
}

/* --- and back --- */

static void put_entry(struct buf *b, const struct fold_entry *e)
{
	const struct value *row = e->after ? e->after : e->before;
	const struct value *v = &row[1];

	buf_puts(b, b->len ? " " : "");
	if (!e->existed && !e->after) {
		buf_putc(b, '.');
		return;
	}
	buf_putc(b, !e->after ? '-' : !e->existed ? '+' : e->replaced ? '!' : '*');
	buf_add(b, row[0].text.data, row[0].text.len);
	if (e->after)
		buf_printf(b, "=%.*s", v->kind == VALUE_TEXT ? (int)v->text.len : 1,
			   v->kind == VALUE_TEXT   ? v->text.data
			   : v->kind == VALUE_NULL ? "-"
						   : "~");
}

static void folds(void **state)
{
	const struct fold_row *row = *state;
	struct arena arena = ARENA_INIT;
	struct bindings bindings = { &plan, &arena, NULL };
	struct fold *f = fold_create(&plan);
	struct transaction *t = transaction_of(row->changes);
	struct err e = ERR_INIT;
	struct buf got = BUF_INIT;

	table.key_unique = !strchr(row->changes, 'X');
	enum fold_result result = fold_add(f, &bindings, t, &e);

	assert_int_not_equal(result, FOLD_FAILED);
	if (result == FOLD_NEEDS_ORDER)
		buf_puts(&got, "in order");
	for (const struct fold_entry *i = f->tables[0].first; result == FOLDED && i; i = i->next)
		put_entry(&got, i);
	assert_string_equal(buf_str(&got), row->want);
	buf_free(&got);
	fold_destroy(f);
	transaction_destroy(t);
	arena_finish(&arena);
}

/* More rows than the first hash table has places, each found again. */
static void many_rows_fold(void **state)
{
	struct arena arena = ARENA_INIT;
	struct bindings bindings = { &plan, &arena, NULL };
	struct fold *f = fold_create(&plan);
	struct transaction *t = transaction_create();
	struct err e = ERR_INIT;
	enum { ROWS = 5000 };

	(void)state;
	for (int turn = 0; turn < 2; turn++)
		for (int i = 0; i < ROWS; i++) {
			struct change *c = arena_zalloc(&t->arena, sizeof *c);
			c->relation = &relation;
			c->kind = turn ? CHANGE_UPDATE : CHANGE_INSERT;
			c->after = row_of(&t->arena, arena_printf(&t->arena, "%d", i),
					  turn ? "later" : "first");
			transaction_append(t, c);
		}
	assert_int_equal(fold_add(f, &bindings, t, &e), FOLDED);
	assert_int_equal(f->tables[0].count, ROWS);
	for (const struct fold_entry *i = f->tables[0].first; i; i = i->next)
		assert_true(bytes_equal(i->after[1].text, bytes_of("later")));
	fold_destroy(f);
	transaction_destroy(t);
	arena_finish(&arena);
}

int main(void)
{
	enum { ROWS = sizeof rows / sizeof *rows };
	struct CMUnitTest tests[ROWS + 1];

	for (size_t i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, folds, NULL, NULL, (void *)&rows[i] };
	tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(many_rows_fold);
	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
