/* The migration file: what is read, and the one message of each thing that is wrong. */
#include "transform/mapping.h"
#include "transform/options.h"
#include "transform/sqlname.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "migration: m\nsource: dbname=a\ntarget: dbname=b\n"
#define FLOW "flows:\n  - from: public.a\n    to: app.a\n    select: SELECT x FROM old\n"

static int enter_directory(void **state)
{
	char *path = strdup("/tmp/mapping_test.XXXXXX");

	*state = path;
	return mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
	remove("m.yaml");
	int failed = chdir("/") || rmdir(*state);

	free(*state);
	return failed;
}

static void write_file(const char *text, size_t len)
{
	FILE *f = fopen("m.yaml", "wbe");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static struct migration *load(const char *text)
{
	struct migration *m = NULL;
	struct err e = ERR_INIT;

	write_file(text, strlen(text));
	if (!migration_load("m.yaml", &m, &e))
		fail_msg("%s", e.text);
	return m;
}

static void refused(const char *text, size_t len, const char *message)
{
	struct migration *m = NULL;
	struct err e = ERR_INIT;

	write_file(text, len);
	assert_false(migration_load("m.yaml", &m, &e));
	assert_null(m);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.text, message);
}

/* --- what is wrong --- */

static const struct {
	const char *text, *message;
} bad[] = {
	{ "", "m.yaml:1:1: the file is empty; write a migration" },
	{ "- a\n", "m.yaml:1:1: the file: want a mapping, got a list" },
	{ HEAD FLOW "jbos: 3\n", "m.yaml:8:1: unknown key 'jbos'; did you mean 'jobs'?" },
	{ HEAD FLOW "zebra: 3\n", "m.yaml:8:1: unknown key 'zebra'; remove it" },
	{ HEAD FLOW "cutover: {trys: 3}\n",
	  "m.yaml:8:11: unknown key 'trys' in cutover; did you mean 'tries'?" },
	{ HEAD "source: x\n" FLOW,
	  "m.yaml:4:1: key 'source' stands twice, first at line 2; remove one" },
	{ HEAD, "m.yaml:1:1: key 'flows' is missing; add it: a list of from, to, key, select" },
	{ "migration: m\nsource: dbname=a\n" FLOW,
	  "m.yaml:1:1: key 'target' is missing; add it: libpq conninfo of the new tables' "
	  "database, without a password" },
	{ HEAD "flows: {from: a}\n", "m.yaml:4:8: flows: want a list, got a mapping" },
	{ HEAD "flows: []\n", "m.yaml:4:8: flows: the list is empty; add a flow" },
	{ HEAD "flows: [x]\n", "m.yaml:4:9: flows: want a mapping, got a text" },
	{ HEAD "flows:\n  - {from: a.b, to: c.d}\n",
	  "m.yaml:5:5: key 'select' of flows is missing; add it: a SELECT over old that makes the "
	  "new row" },
	{ HEAD FLOW "jobs: 65\n", "m.yaml:8:7: jobs: want 1..64, got '65'" },
	{ HEAD FLOW "jobs: 0x4\n", "m.yaml:8:7: jobs: want 1..64, got '0x4'" },
	{ HEAD FLOW "jobs: -1\n", "m.yaml:8:7: jobs: want 1..64, got '-1'" },
	{ HEAD FLOW "jobs: [4]\n", "m.yaml:8:7: jobs: want 1..64, got a list" },
	{ HEAD FLOW "jobs:\n", "m.yaml:8:6: jobs: want 1..64, got ''" },
	{ HEAD FLOW "chunk_bytes: 12x\n",
	  "m.yaml:8:14: chunk_bytes: want 64kB..1GB (digits and B, kB, MB or GB), got '12x'" },
	{ HEAD FLOW "chunk_bytes: 1000000\n",
	  "m.yaml:8:14: chunk_bytes: want 64kB..1GB (digits and B, kB, MB or GB), got '1000000'" },
	{ HEAD FLOW "memory: 99999999999999999999GB\n",
	  "m.yaml:8:9: memory: want 16MB..64GB (digits and B, kB, MB or GB), got '99999999999999999999GB'" },
	{ HEAD FLOW "snapshot_max_age: 25h\n",
	  "m.yaml:8:19: snapshot_max_age: want 1s..1d (digits and ms, s, min, h or d), got '25h'" },
	{ HEAD FLOW "decoder: json\n", "m.yaml:8:10: decoder: want pgoutput|wal2json, got 'json'" },
	{ HEAD FLOW "search_path: app\n",
	  "m.yaml:8:14: search_path: want a list of names, as in [a, b], got a text" },
	{ HEAD FLOW "search_path: [a-b]\n",
	  "m.yaml:8:15: search_path: 'a-b': a name with '-' in it must be quoted as in SQL" },
	{ HEAD FLOW "search_path: [a.b]\n",
	  "m.yaml:8:15: search_path: 'a.b': one name without a dot is wanted" },
	{ HEAD FLOW "hooks: {on_lag_zero: }\n", "m.yaml:8:22: on_lag_zero: want a text, got ''" },
	{ HEAD FLOW "switch: {rename: [{table: a.b}]}\n",
	  "m.yaml:8:19: key 'to' of switch.rename is missing; add it: its new schema.name" },
	{ "migration: My\nsource: dbname=a\ntarget: dbname=b\n" FLOW,
	  "m.yaml:1:12: migration: want [a-z][a-z0-9_-]{0,39}, got 'My'" },
	{ "migration: m\nsource: dbname=a password=hunter2\ntarget: dbname=b\n" FLOW,
	  "m.yaml:2:9: source: holds a password, and this file is read by many; put it into "
	  "~/.pgpass, a service file or PGPASSWORD" },
	{ "migration: m\nsource: dbname=a\ntarget: postgresql://u:hunter2@h/b\n" FLOW,
	  "m.yaml:3:9: target: holds a password, and this file is read by many; put it into "
	  "~/.pgpass, a service file or PGPASSWORD" },
	{ "migration: m\nsource: dbnam=hunter2\ntarget: dbname=b\n" FLOW,
	  "m.yaml:2:9: source: not a libpq conninfo; write key=value pairs or a postgresql:// URI "
	  "with options that libpq knows" },
	{ HEAD "flows:\n  - from: a\n    to: b.c\n    select: SELECT 1\n",
	  "m.yaml:5:11: from: 'a': schema.name is wanted: the schema must be named" },
	{ HEAD "flows:\n  - from: a.b.c\n    to: b.c\n    select: SELECT 1\n",
	  "m.yaml:5:11: from: 'a.b.c': schema.name is wanted: the schema must be named" },
	{ HEAD "flows:\n  - from: '\"a.b'\n    to: b.c\n    select: SELECT 1\n",
	  "m.yaml:5:11: from: '\"a.b': a quote is not closed" },
	{ HEAD "flows:\n  - from: a.\n    to: b.c\n    select: SELECT 1\n",
	  "m.yaml:5:11: from: 'a.': a part of the name is empty" },
	{ HEAD "flows:\n  - {from: a.b, to: c.d, key: [k, '\"k\"'], select: x}\n",
	  "m.yaml:5:31: key: 'k' stands twice; remove one" },
	{ HEAD "flows:\n  - {from: a.b, to: c.d, insert_only: yes, select: x}\n",
	  "m.yaml:5:39: insert_only: want true or false, got 'yes'" },
	{ HEAD FLOW "  - {from: public.a, to: app.a, select: SELECT x FROM old}\n",
	  "m.yaml:8:5: the same flow stands at line 5; remove one" },
	{ "a: &x 1\n", "m.yaml:1:4: anchors and aliases are not taken; write the value out" },
	{ "a: *x\n", "m.yaml:1:4: anchors and aliases are not taken; write the value out" },
	{ "a: !!str 1\n", "m.yaml:1:4: tags are not taken; write the value without it" },
	{ HEAD FLOW "---\na: 1\n",
	  "m.yaml:8:1: a second document starts here; a file is one migration" },
	{ "[a]: 1\n", "m.yaml:1:1: a key is a list; write a plain name" },
	{ "a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n",
	  "m.yaml:1:19: nested deeper than 16 levels; this is not a migration file" },
	{ "a: \"x\\0y\"\n", "m.yaml:1:4: the text holds a NUL character; remove it" },
	{ "a: 1\n b: 2\n",
	  "m.yaml:2:3: not valid YAML: mapping values are not allowed in this context; mind the "
	  "indentation and the quotes" },
	{ "a: 'x\n",
	  "m.yaml:2:1: not valid YAML: found unexpected end of stream while scanning a quoted "
	  "scalar; mind the indentation and the quotes" },
	{ "a: \xff\n",
	  "m.yaml:1:4: not UTF-8 text: invalid leading UTF-8 octet; save the file as UTF-8" },
};

static void every_bad_file_has_its_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(bad[i].text, strlen(bad[i].text), bad[i].message);
}

static void bytes_and_sizes_are_bounded(void **state)
{
	static const char nul[] = "a: x\0y\n";
	size_t len = 200 << 10;
	char *big = malloc(len);

	(void)state;
	refused(nul, sizeof nul - 1,
		"m.yaml:1:5: not UTF-8 text: control characters are not allowed; save the file as "
		"UTF-8");
	memset(big, 'x', len);
	snprintf(big, len, "a: '");
	big[4] = 'x';
	big[len - 1] = '\'';
	refused(big, len, "m.yaml:1:4: a text of 204795 bytes; the most is 64 kB");
	free(big);
	len = (1 << 20) + 1;
	big = malloc(len);
	memset(big, '#', len);
	refused(big, len, "m.yaml: larger than 1 MB; this is not a migration file");
	free(big);
}

static void a_missing_file_says_so(void **state)
{
	struct migration *m = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_false(migration_load("none.yaml", &m, &e));
	assert_string_equal(e.text, "none.yaml: cannot be opened: No such file or directory; name "
				    "the migration file");
}

/* No strict prefix of a good file crashes or leaks, whatever it says. */
static void every_prefix_ends_well(void **state)
{
	static const char text[] = HEAD
	    "switch: {rename: [{table: a.b, to: a.c}]}\n"
	    "flows:\n  - from: 'a.\"B c\"'\n    to: b.c\n    key: [k]\n    select: |\n"
	    "      SELECT 1\n        AS k FROM old\n";

	(void)state;
	for (size_t len = 0; len < sizeof text; len++) {
		struct migration *m = NULL;
		struct err e = ERR_INIT;
		write_file(text, len);
		if (!migration_load("m.yaml", &m, &e))
			assert_true(e.text[0] != '\0');
		migration_destroy(m);
	}
}

/* --- what is read --- */

static void defaults_are_the_tables(void **state)
{
	struct migration *m = load(HEAD FLOW);

	(void)state;
	assert_string_equal(m->decoder, "pgoutput");
	assert_int_equal(m->jobs, 4);
	assert_int_equal(m->chunk_bytes, 16 << 20);
	assert_int_equal(m->memory, 256 << 20);
	assert_int_equal(m->snapshot_max_age, 3600000);
	assert_int_equal(m->cutover.max_lag, 16 << 20);
	assert_int_equal(m->cutover.lock_timeout, 500);
	assert_int_equal(m->cutover.max_pause, 3000);
	assert_int_equal(m->cutover.tries, 10);
	assert_int_equal(m->cutover.sequence_headroom, 1000);
	assert_null(m->hooks[HOOK_LAG_ZERO]);
	assert_int_equal(m->switch_to.nrenames, 0);
	assert_false(m->flows[0].insert_only);
	migration_destroy(m);
}

static void everything_is_read(void **state)
{
	struct migration *m = load(
	    "\xef\xbb\xbf" HEAD "decoder: wal2json\nsearch_path: [App, '\"Odd \"\"x\"']\njobs: 8\n"
	    "cutover: {max_lag: 1kB, max_pause: 2min}\nhooks: {on_error: 'echo x'}\n"
	    "switch:\n  rename: [{table: public.a, to: public.b}, {table: app.a, to: public.a}]\n"
	    "  search_path:\n    - {role: web, path: [app, public]}\n  target_sql: SELECT 1\n"
	    "flows:\n  - from: 'Public.\"Odd.Name\"'\n    to: app.x\n    key: [id, '\"K\"']\n"
	    "    insert_only: true\n    select: SELECT 1\n");

	(void)state;
	assert_string_equal(m->decoder, "wal2json");
	assert_string_equal(m->search_path.names[0], "App");
	assert_string_equal(m->search_path.names[1], "Odd \"x");
	assert_int_equal(m->jobs, 8);
	assert_int_equal(m->cutover.max_lag, 1024);
	assert_int_equal(m->cutover.max_pause, 120000);
	assert_int_equal(m->cutover.tries, 10);
	assert_string_equal(m->hooks[HOOK_ERROR], "echo x");
	assert_int_equal(m->switch_to.nrenames, 2);
	assert_string_equal(m->switch_to.renames[1].table.schema, "app");
	assert_string_equal(m->switch_to.search_paths[0].role, "web");
	assert_string_equal(m->switch_to.search_paths[0].path.names[1], "public");
	assert_string_equal(m->switch_to.target_sql, "SELECT 1");
	assert_null(m->switch_to.source_sql);
	assert_string_equal(m->flows[0].from.schema, "public");
	assert_string_equal(m->flows[0].from.name, "Odd.Name");
	assert_string_equal(m->flows[0].key.names[1], "K");
	assert_true(m->flows[0].insert_only);
	migration_destroy(m);
}

/* Where the first x of the SELECT stands in the file. */
static const struct {
	const char *select;
	unsigned line, column;
} places[] = {
	{ "    select: SELECT x\n", 7, 13 },
	{ "    select: |\n      SELECT x\n", 8, 14 },
	{ "    select: |\n\n\n      SELECT\n        x\n", 11, 9 },
	{ "    select: |-  # why\n      SELECT 'é', x\n", 8, 19 },
	{ "    select: |2\n        SELECT\n       x\n", 9, 8 },
	{ "    select: >\n      SELECT\n      x\n", 7, 13 },
};

static void places_lead_into_the_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char text[512];
		snprintf(text, sizeof text, "%sflows:\n  - from: a.b\n    to: c.d\n%s", HEAD,
			 places[i].select);
		struct migration *m = load(text);
		const struct flow_def *f = &m->flows[0];
		size_t at = (size_t)(strchr(f->select, 'x') - f->select);
		struct place p = text_place_of(&f->select_lies, f->select, at);
		assert_int_equal(p.line, places[i].line);
		assert_int_equal(p.column, places[i].column);
		migration_destroy(m);
	}
}

static void every_option_explains_itself(void **state)
{
	unsigned count;
	const struct option_set *const *sets = migration_options(&count);

	(void)state;
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < sets[i]->count; k++)
			assert_true(*sets[i]->options[k].help != '\0');
}

static void near_names_are_found(void **state)
{
	static const char *const names[] = { "customer_id", "first_name", "id" };

	(void)state;
	assert_string_equal(nearest_name("custmer_id", names, 3), "customer_id");
	assert_string_equal(nearest_name("FIRST_NAME", names, 3), "first_name");
	assert_null(nearest_name("zebra", names, 3));
	assert_null(nearest_name("", names, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_file_has_its_message),
		cmocka_unit_test(bytes_and_sizes_are_bounded),
		cmocka_unit_test(a_missing_file_says_so),
		cmocka_unit_test(every_prefix_ends_well),
		cmocka_unit_test(defaults_are_the_tables),
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(places_lead_into_the_text),
		cmocka_unit_test(every_option_explains_itself),
		cmocka_unit_test(near_names_are_found),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
