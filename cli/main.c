#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command commands[] = {
	{ "check", "judge the migration against both servers; changes nothing",
	  "Prints one line a finding: pass, warn or fail. When all else has passed it makes a temporary "
	  "slot with the decoder, drops it at once, and tries the flows on the rows that are there, "
	  "without writing any.",
	  ARG_JSON | ARG_NO_DATA | ARG_DATA_TIME, check_command },
	{ "plan", "say what run and cutover would do, in order; changes nothing",
	  "Steps with their locks and statements, flows with their SQL, tables with their chunks, "
	  "indexes and constraints that are dropped and built again, sequences, and how long the copy "
	  "will take at the speed of a chunk read now. Findings of check that fail are printed "
	  "instead, with exit status 3.",
	  ARG_JSON, plan_command },
	{ "run", "do the work: copy, stream, cut over when asked; ends on SIGTERM",
	  "The service. Stays in the foreground and logs to standard error, one event a line, until "
	  "the migration is complete or aborted or a signal ends it. It can be stopped, killed and "
	  "started again at any time, on any host: all state is in the ledger at the target.",
	  0, run_command },
	{ "status", "phase, tables, lag, what holds it up, and what the last run said",
	  "Works from any host, also when no run is there, from the ledger and both servers as they "
	  "are now. Of a run that waits before it tries again it tells the error, since when, how many "
	  "tries have failed and when the next one is. Where one of them does not answer it says what is unknown, and ends with exit "
	  "status 5.",
	  ARG_JSON | ARG_WATCH, status_command },
	{ "wait", "return when it is so",
	  "Lag zero is reached when everything that was committed before the wait began is durable "
	  "at the target. A phase that is past, or a run that stopped with an error, ends the wait "
	  "with exit status 1.",
	  ARG_FOR | ARG_TIMEOUT, wait_command },
	{ "cutover", "switch to the new tables, within a short write pause",
	  "Asks the run to switch, and prints how long writes waited. When the time runs out the run "
	  "may still switch later, if it has begun.",
	  ARG_ACCEPT_REJECTS | ARG_TIMEOUT, cutover_command },
	{ "retry", "try again the rows that were refused and put aside",
	  "With rejects in the migration file, rows that the SELECT or the target refuses are put "
	  "aside in the ledger. Asks the run to try them again, after what refused them was mended; "
	  "prints how many went in and how many are left, and ends with exit status 1 when any is.",
	  ARG_FLOW | ARG_LIST | ARG_TIMEOUT, retry_command },
	{ "complete", "end a switched migration",
	  "First makes the foreign keys of the new tables as they were at first, where run has not been "
	  "able to yet, with cutover.lock_timeout and cutover.tries. Then drops slot and publications. "
	  "The old tables stay frozen, or are dropped. Where rows keep a foreign key from coming back it "
	  "says which one and what to do, with exit status 1, although the migration is complete.",
	  ARG_DROP_OLD_TABLES, complete_command },
	{ "abort", "end a migration before the switch, without a trace",
	  "Drops slot, publications and ledger rows, empties the new tables and gives them their "
	  "indexes and constraints back.",
	  0, abort_command },
	{ NULL, NULL, NULL, 0, NULL },
};

const struct argument_def argument_defs[] = {
	{ "json", NULL, "Print one JSON document instead of text.", ARG_JSON, false },
	{ "drop-old-tables", NULL, "Drop the old tables.", ARG_DROP_OLD_TABLES, false },
	{ "for", "lag-zero|PHASE",
	  "What to wait for: lag zero, or phase copy, stream, switched or complete.", ARG_FOR,
	  true },
	{ "timeout", "SECONDS",
	  "Give up after that time, with exit status 5. Without it there is no limit.", ARG_TIMEOUT,
	  false },
	{ "accept-rejects", "TABLE[,TABLE...]",
	  "Switch although rows of these new tables were refused and put aside. They are not in the "
	  "new tables then, or in an older version.",
	  ARG_ACCEPT_REJECTS, false },
	{ "flow", "TABLE", "Only the rejects of flows into that new table.", ARG_FLOW, false },
	{ "list", NULL, "Only print the rejects: table, key, place, error; not the rows.", ARG_LIST,
	  false },
	{ "watch", "[SECONDS]",
	  "Look again every 2 or SECONDS seconds: a terminal is redrawn, elsewhere a line is added "
	  "(with --json a document on a line). Begins before the migration does. Ends when the "
	  "migration is complete or aborted, or on Ctrl-C, with exit status 0.",
	  ARG_WATCH, false },
	{ "no-data", NULL, "Do not try the flows on the data.", ARG_NO_DATA, false },
	{ "data-time", "SECONDS",
	  "How long the flows are tried on the data, all together; 10 by default. A table that takes "
	  "longer is looked at here and there, all over it.",
	  ARG_DATA_TIME, false },
	{ NULL, NULL, NULL, 0, false },
};

const struct exit_def exit_defs[] = {
	{ EXIT_DONE, "done" },
	{ EXIT_BAD_OUTCOME,
	  "it ran, and the outcome is not what was asked for: a refused cutover, a "
	  "wait that can no longer succeed, output that cannot be written" },
	{ EXIT_USAGE,
	  "command line, migration file or set-up refused, or the login by a server; of "
	  "run also when a check fails" },
	{ EXIT_CHECK, "check or plan found failures" },
	{ EXIT_CONFLICT, "the target refuses a row" },
	{ EXIT_UNREACHABLE,
	  "a server cannot be reached or takes no connection now, or the time of --timeout ran out" },
	{ 0, NULL },
};

static void print_usage(FILE *to, const struct command *c)
{
	fprintf(to, "  pgcrossfade %s FILE", c->name);
	for (const struct argument_def *d = argument_defs; d->name; d++)
		if (c->takes & d->which)
			fprintf(to, " %s--%s%s%s%s", d->required ? "" : "[", d->name,
				d->value ? " " : "", d->value ? d->value : "",
				d->required ? "" : "]");
	fprintf(to, "\n      %s\n", c->help);
}

static void print_help(FILE *to)
{
	fputs("pgcrossfade moves live PostgreSQL tables to a new schema without downtime.\n\n", to);
	for (const struct command *c = commands; c->name; c++)
		print_usage(to, c);
	fputs(
	    "\nFILE is the migration file; pgcrossfade help file lists its keys, pgcrossfade help "
	    "man\nprints the man page.\n\nexit code:\n",
	    to);
	for (const struct exit_def *d = exit_defs; d->means; d++)
		fprintf(to, "  %d  %s\n", d->code, d->means);
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

enum { WATCH_MS = 2000 };

static bool take_argument(int which, struct arguments *a)
{
	switch (which) {
	case ARG_JSON:
		a->json = true;
		return true;
	case ARG_DROP_OLD_TABLES:
		a->drop_old_tables = true;
		return true;
	case ARG_LIST:
		a->list = true;
		return true;
	case ARG_FOR:
		a->goal = optarg;
		return true;
	case ARG_FLOW:
		a->flow = optarg;
		return true;
	case ARG_ACCEPT_REJECTS:
		a->accept_rejects = optarg;
		return true;
	case ARG_NO_DATA:
		a->no_data = true;
		return true;
	case ARG_DATA_TIME:
		return parse_seconds(optarg, &a->data_ms) && a->data_ms > 0;
	case ARG_TIMEOUT:
		return parse_seconds(optarg, &a->timeout_ms);
	case ARG_WATCH:
		a->watch_ms = WATCH_MS;
		return !optarg || (parse_seconds(optarg, &a->watch_ms) && a->watch_ms > 0);
	default:
		return false;
	}
}

static const char *option_name(int which)
{
	const struct argument_def *d = argument_defs;

	while (d->name && (int)d->which != which)
		d++;
	return d->name ? d->name : "";
}

enum { MAX_OPTIONS = 32 };

static bool is_optional(const char *value)
{
	return value && *value == '[';
}

static int argument_kind(const struct argument_def *d)
{
	return !d->value               ? no_argument
	       : is_optional(d->value) ? optional_argument
				       : required_argument;
}

/* The table as getopt_long wants it. */
static void list_options(struct option out[MAX_OPTIONS])
{
	unsigned n = 0;

	for (const struct argument_def *d = argument_defs; d->name && n < MAX_OPTIONS - 1; d++)
		out[n++] = (struct option){ d->name, argument_kind(d), NULL, (int)d->which };
	out[n] = (struct option){ NULL, 0, NULL, 0 };
}

/* An optional value may stand apart, where the next word is a number: --watch 5 */
static void take_next_word(int argc, char **argv)
{
	int64_t ignored;

	if (!optarg && optind < argc && parse_seconds(argv[optind], &ignored))
		optarg = argv[optind++];
}

static int bad_seconds(int which)
{
	struct arena scratch = ARENA_INIT;
	int code = usage_error(
	    arena_printf(&scratch, "--%s: want seconds, got", option_name(which)), optarg);

	arena_finish(&scratch);
	return code;
}

/* argv[0] is the subcommand. Leaves optind at the first word that is no option. */
static int parse_arguments(const struct command *c, int argc, char **argv, struct arguments *a)
{
	struct option long_options[MAX_OPTIONS];
	int which;

	list_options(long_options);
	opterr = 0;
	while ((which = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (which == '?')
			return usage_error("unknown option:", argv[optind - 1]);
		if (which == ':')
			return usage_error("no value after", argv[optind - 1]);
		if (!(c->takes & (unsigned)which))
			return usage_error("this command has no option", option_name(which));
		if (which == ARG_WATCH)
			take_next_word(argc, argv);
		if (!take_argument(which, a))
			return bad_seconds(which);
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
	struct arguments a = { .timeout_ms = -1, .watch_ms = -1, .data_ms = 10000 };
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

/* A file or connection opened later would get a closed one's number, and what is printed with it. */
static void open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* What was printed may be in a buffer yet. A reader that has gone had what it wanted. */
static int end_output(int code)
{
	bool failed = ferror(stdout);
	struct err e = ERR_INIT;

	errno = 0;
	if ((fclose(stdout) == 0 && !failed) || errno == EPIPE)
		return code;
	err_set(&e, ERR_NONE, "standard output cannot be written%s%s%s", errno ? ": " : "",
		errno ? strerror(errno) : "",
		code == EXIT_DONE ? "; what was to be done is done, but not all is printed" : "");
	report_error(&e);
	return code == EXIT_DONE ? EXIT_BAD_OUTCOME : code;
}

static int run_line(int argc, char **argv)
{
	if (argc < 2)
		return usage_error("what to do?", "");
	if (argc == 3 && strcmp(argv[1], "help") == 0 && strcmp(argv[2], "file") == 0) {
		print_reference();
		return EXIT_DONE;
	}
	if (argc == 3 && strcmp(argv[1], "help") == 0 && strcmp(argv[2], "man") == 0) {
		print_manual();
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

int main(int argc, char **argv)
{
	open_standard_files();
	return end_output(run_line(argc, argv));
}

int report_error(const struct err *e)
{
	static const int codes[] = { [ERR_NONE] = EXIT_BAD_OUTCOME,
				     [ERR_RETRY] = EXIT_UNREACHABLE,
				     [ERR_INPUT] = EXIT_BAD_OUTCOME,
				     [ERR_CONFIG] = EXIT_USAGE,
				     [ERR_DATA] = EXIT_CONFLICT };

	struct err said = *e;

	err_one_line(&said);
	fprintf(stderr, "pgcrossfade: %s\n", said.text);
	return codes[e->kind];
}
