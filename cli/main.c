#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command commands[] = {
	{ "check", "", "judge the migration against both servers; changes nothing", 0,
	  check_command },
	{ "run", "", "do the work: copy, stream, cut over when asked; ends on SIGTERM", 0,
	  run_command },
	{ "status", "[--json]", "phase, tables, lag and what the last run said", ARG_JSON,
	  status_command },
	{ "wait", "--for lag-zero|PHASE [--timeout SECONDS]", "return when it is so",
	  ARG_FOR | ARG_TIMEOUT, wait_command },
	{ "cutover", "[--timeout SECONDS]", "switch to the new tables, within a short write pause",
	  ARG_TIMEOUT, cutover_command },
	{ "complete", "[--drop-old-tables]", "end a switched migration", ARG_DROP_OLD_TABLES,
	  complete_command },
	{ "abort", "", "end a migration before the switch, without a trace", 0, abort_command },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct option long_options[] = {
	{ "json", no_argument, NULL, ARG_JSON },
	{ "drop-old-tables", no_argument, NULL, ARG_DROP_OLD_TABLES },
	{ "for", required_argument, NULL, ARG_FOR },
	{ "timeout", required_argument, NULL, ARG_TIMEOUT },
	{ NULL, 0, NULL, 0 },
};

static void print_help(FILE *to)
{
	fputs("pgcrossfade moves live PostgreSQL tables to a new schema without downtime.\n\n", to);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  pgcrossfade %s FILE %s\n      %s\n", c->name, c->usage, c->help);
	fputs("\nFILE is the migration file; pgcrossfade help file lists its keys.\n\n"
	      "exit code: 0 done, 1 bad outcome, 2 refused (command line, file, set-up),\n"
	      "           3 check failed, 4 the target refuses a row, 5 unreachable or timed out\n",
	      to);
}

static int usage_error(const char *what, const char *detail)
{
	fprintf(stderr, "pgcrossfade: %s%s%s; see pgcrossfade --help\n", what, *detail ? " " : "",
		detail);
	return EXIT_USAGE;
}

static bool parse_seconds(const char *text, int64_t *ms)
{
	char *end;

	errno = 0;
	double seconds = strtod(text, &end);
	if (errno || end == text || *end || !(seconds >= 0) || seconds > 1e9)
		return false;
	*ms = (int64_t)(seconds * 1000);
	return true;
}

static bool take_argument(int which, struct arguments *a)
{
	switch (which) {
	case ARG_JSON:
		a->json = true;
		return true;
	case ARG_DROP_OLD_TABLES:
		a->drop_old_tables = true;
		return true;
	case ARG_FOR:
		a->goal = optarg;
		return true;
	case ARG_TIMEOUT:
		return parse_seconds(optarg, &a->timeout_ms);
	default:
		return false;
	}
}

static const char *option_name(int which)
{
	const struct option *o = long_options;

	while (o->name && o->val != which)
		o++;
	return o->name ? o->name : "";
}

/* argv[0] is the subcommand. Leaves optind at the first word that is no option. */
static int parse_arguments(const struct command *c, int argc, char **argv, struct arguments *a)
{
	int which;

	opterr = 0;
	while ((which = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (which == '?')
			return usage_error("unknown option:", argv[optind - 1]);
		if (which == ':')
			return usage_error("no value after", argv[optind - 1]);
		if (!(c->takes & (unsigned)which))
			return usage_error("this command has no option", option_name(which));
		if (!take_argument(which, a))
			return usage_error("--timeout: want seconds, got", optarg);
	}
	if (optind + 1 != argc)
		return usage_error(c->name, optind == argc ? "needs a migration file"
							   : "takes one migration file");
	if ((c->takes & ARG_FOR) && !a->goal)
		return usage_error(c->name, "needs --for lag-zero or --for PHASE");
	return EXIT_DONE;
}

static int run_subcommand(const struct command *c, int argc, char **argv)
{
	struct arguments a = { .timeout_ms = -1 };
	struct migration *m;
	struct err e = ERR_INIT;
	int code = parse_arguments(c, argc, argv, &a);

	if (code != EXIT_DONE)
		return code;
	if (!migration_load(argv[optind], &m, &e))
		return report_error(&e);
	code = c->run(m, &a);
	migration_destroy(m);
	return code;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage_error("what to do?", "");
	if (argc == 3 && strcmp(argv[1], "help") == 0 && strcmp(argv[2], "file") == 0) {
		print_reference();
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("pgcrossfade " PGCROSSFADE_VERSION);
		return EXIT_DONE;
	}
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0) {
			print_help(stdout);
			return EXIT_DONE;
		}
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, argv[1]) == 0)
			return run_subcommand(c, argc - 1, argv + 1);
	return usage_error("no such command:", argv[1]);
}

int report_error(const struct err *e)
{
	static const int codes[] = { [ERR_NONE] = EXIT_BAD_OUTCOME,
				     [ERR_RETRY] = EXIT_UNREACHABLE,
				     [ERR_INPUT] = EXIT_BAD_OUTCOME,
				     [ERR_CONFIG] = EXIT_USAGE,
				     [ERR_DATA] = EXIT_CONFLICT };

	fprintf(stderr, "pgcrossfade: %s\n", e->text);
	return codes[e->kind];
}
