#include "cli/command.h"

#include "service/session.h"

#include <stdio.h>

static const char *const level_names[] = {
	[FINDING_PASS] = "pass",
	[FINDING_WARN] = "warn",
	[FINDING_FAIL] = "fail",
};

static void print_findings(const struct findings *f)
{
	for (const struct finding *i = f->first; i; i = i->next)
		printf("%s  %s: %s\n", level_names[i->level], i->subject, i->text);
}

int check_command(const struct migration *m, const struct arguments *a)
{
	struct findings findings = FINDINGS_INIT(findings);
	struct err e = ERR_INIT;
	struct session s;
	int code = EXIT_DONE;

	(void)a;
	if (!session_open(m, &s, &e))
		return report_error(&e);
	bool ok = session_compile(&s, &findings, &e);
	print_findings(&findings);
	if (findings.failures) {
		printf("%u failed\n", findings.failures);
		code = EXIT_CHECK;
	} else if (!ok) {
		code = report_error(&e);
	}
	session_close(&s);
	return code;
}
