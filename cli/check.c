#include "cli/check.h"

#include "service/session.h"

#include <stdio.h>
#include <yajl/yajl_gen.h>

/* What check has to say: findings, and why it could not ask for more. */
struct report {
	const struct migration *migration;
	struct findings findings;
	struct arena *arena;
	struct err e; /* ERR_NONE: everything was asked */
};

/* --- as JSON --- */

static void put_string(yajl_gen g, const char *text)
{
	yajl_gen_string(g, (const unsigned char *)text, strlen(text));
}

static void put_text(yajl_gen g, const char *key, const char *value)
{
	put_string(g, key);
	if (value)
		put_string(g, value);
	else
		yajl_gen_null(g);
}

static void put_count(yajl_gen g, const char *key, unsigned value)
{
	put_string(g, key);
	yajl_gen_integer(g, value);
}

static void put_finding(yajl_gen g, const struct finding *f)
{
	yajl_gen_map_open(g);
	put_text(g, "level", finding_level_name(f->level));
	put_text(g, "subject", f->subject);
	put_text(g, "place", f->place);
	put_text(g, "text", f->text);
	put_text(g, "do", f->cure);
	yajl_gen_map_close(g);
}

static void put_report(yajl_gen g, const struct report *r)
{
	yajl_gen_map_open(g);
	put_text(g, "migration", r->migration->name);
	put_text(g, "file", r->migration->file);
	put_count(g, "failures", r->findings.failures);
	put_count(g, "warnings", r->findings.warnings);
	put_text(g, "error", r->e.kind == ERR_NONE ? NULL : r->e.text);
	put_string(g, "findings");
	yajl_gen_array_open(g);
	for (const struct finding *f = r->findings.first; f; f = f->next)
		put_finding(g, f);
	yajl_gen_array_close(g);
	yajl_gen_map_close(g);
}

static void print_json(const struct report *r)
{
	yajl_gen g = yajl_gen_alloc(NULL);
	const unsigned char *text;
	size_t len;

	yajl_gen_config(g, yajl_gen_beautify, 1);
	put_report(g, r);
	yajl_gen_get_buf(g, &text, &len);
	fwrite(text, 1, len, stdout);
	yajl_gen_free(g);
}

/* --- for people --- */

static void print_text(const struct report *r)
{
	for (const struct finding *f = r->findings.first; f; f = f->next)
		printf("%s  %s: %s\n", finding_level_name(f->level), f->subject,
		       finding_text(r->arena, f));
	if (r->findings.failures)
		printf("%u failed\n", r->findings.failures);
}

static int conclude(const struct report *r, const struct arguments *a)
{
	if (a->json)
		print_json(r);
	else
		print_text(r);
	if (r->findings.failures && r->e.kind == ERR_NONE)
		return EXIT_CHECK;
	return r->e.kind == ERR_NONE ? EXIT_DONE : report_error(&r->e);
}

/* A refusal that waiting does not cure is a finding as any other. */
static void refused(struct report *r)
{
	finding_add(&r->findings, r->arena, FINDING_FAIL, "connection",
		    strstr(r->e.text, "; ") ? "%s" : "%s; correct the conninfo, or what refuses it",
		    r->e.text);
	err_clear(&r->e);
}

/* The plan that next needs is compiled; all else there is to check is for check alone. */
static void look(struct session *s, const struct check_options *options, check_next *next,
		 struct report *r)
{
	bool ok = next ? session_compile(s, &r->findings, &r->e)
		       : session_check(s, options, &r->findings, &r->e);

	if (!ok && r->findings.failures)
		err_clear(&r->e); /* it says only that there are failures */
}

int check_then(const struct migration *m, const struct arguments *a, check_next *next)
{
	struct arena arena = ARENA_INIT;
	struct report r = { .migration = m,
			    .findings = FINDINGS_INIT(r.findings),
			    .arena = &arena,
			    .e = ERR_INIT };
	struct check_options options = { a->no_data ? 0 : a->data_ms };
	struct session s;
	int code;

	if (session_open(m, &s, &r.e))
		look(&s, &options, next, &r);
	else if (r.e.kind == ERR_CONFIG)
		refused(&r);
	if (next && !r.findings.failures && r.e.kind == ERR_NONE)
		code = next(&s, a);
	else
		code = conclude(&r, a);
	session_close(&s);
	arena_finish(&arena);
	return code;
}

int check_command(const struct migration *m, const struct arguments *a)
{
	return check_then(m, a, NULL);
}
