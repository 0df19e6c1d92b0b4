#include "cli/check.h"

#include "cli/json.h"
#include "service/session.h"

#include <stdio.h>
#include <string.h>

/* What check has to say: findings, and why it could not ask for more. */
struct report {
	const struct migration *migration;
	struct findings findings;
	struct arena *arena;
	struct err e; /* ERR_NONE: everything was asked */
};

/* --- as JSON --- */

static void put_finding(struct json *j, const struct finding *f)
{
	json_object(j, NULL);
	json_text(j, "level", finding_level_name(f->level));
	json_text(j, "subject", f->subject);
	json_text(j, "place", f->place);
	json_text(j, "text", f->text);
	json_text(j, "do", f->cure);
	json_object_end(j);
}

static void print_json(const struct report *r)
{
	struct json j;

	json_begin(&j, true);
	json_text(&j, "migration", r->migration->name);
	json_text(&j, "file", r->migration->file);
	json_count(&j, "failures", r->findings.failures);
	json_count(&j, "warnings", r->findings.warnings);
	json_text(&j, "error", r->e.kind == ERR_NONE ? NULL : r->e.text);
	json_array(&j, "findings");
	for (const struct finding *f = r->findings.first; f; f = f->next)
		put_finding(&j, f);
	json_array_end(&j);
	json_end(&j);
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
static void look(struct session *s, int64_t data_ms, check_next *next, struct report *r)
{
	bool ok = next ? session_compile(s, &r->findings, &r->e)
		       : session_check(s, data_ms, &r->findings, &r->e);

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
	struct session s;
	int code;

	if (session_open(m, &s, &r.e))
		look(&s, a->no_data ? 0 : a->data_ms, next, &r);
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
