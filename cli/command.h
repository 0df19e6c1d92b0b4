/*
 * cli/command.h: one row a subcommand, one row an option, one row an exit code: the tables
 * feed dispatch, the command line, --help and the man page.
 */
#ifndef PGCROSSFADE_CLI_COMMAND_H
#define PGCROSSFADE_CLI_COMMAND_H

#include "core/err.h"
#include "transform/mapping.h"

#include <stdbool.h>

/* Documented in README.md; scripts rely on them. */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_BAD_OUTCOME = 1, /* it ran, and the outcome is not what was asked for */
	EXIT_USAGE = 2,       /* command line, migration file or set-up refused */
	EXIT_CHECK = 3,       /* check found failures */
	EXIT_CONFLICT = 4,    /* the target refuses a row */
	EXIT_UNREACHABLE = 5, /* a server cannot be reached, or the wait ran out */
};

/* What follows the file on the command line. */
struct arguments {
	bool json, drop_old_tables;
	bool list;
	const char *goal;           /* --for */
	const char *flow;           /* --flow; NULL: all */
	const char *accept_rejects; /* --accept-rejects; NULL: none */
	int64_t timeout_ms;         /* -1: none */
	int64_t watch_ms;           /* -1: once */
	bool no_data;
	int64_t data_ms; /* --data-time */
};

struct command {
	const char *name;
	const char *help;   /* one line */
	const char *manual; /* what the man page says besides; plain words */
	unsigned takes;     /* bits of enum argument */
	int (*run)(const struct migration *, const struct arguments *);
};

enum argument {
	ARG_JSON = 1,
	ARG_DROP_OLD_TABLES = 2,
	ARG_FOR = 4,
	ARG_TIMEOUT = 8,
	ARG_ACCEPT_REJECTS = 16,
	ARG_FLOW = 32,
	ARG_LIST = 64,
	ARG_WATCH = 128,
	ARG_NO_DATA = 1 << 10,
	ARG_DATA_TIME = 1 << 11
};

struct argument_def {
	const char *name;
	const char
	    *value; /* what stands for its value, [] where it may miss; NULL: it takes none */
	const char *help;
	enum argument which;
	bool required;
};

struct exit_def {
	enum exit_code code;
	const char *means;
};

/* Each ends with a NULL name or meaning. */
extern const struct command commands[];
extern const struct argument_def argument_defs[];
extern const struct exit_def exit_defs[];

int run_command(const struct migration *m, const struct arguments *a);
int check_command(const struct migration *m, const struct arguments *a);
int plan_command(const struct migration *m, const struct arguments *a);
int status_command(const struct migration *m, const struct arguments *a);
int wait_command(const struct migration *m, const struct arguments *a);
int cutover_command(const struct migration *m, const struct arguments *a);
int retry_command(const struct migration *m, const struct arguments *a);
int complete_command(const struct migration *m, const struct arguments *a);
int abort_command(const struct migration *m, const struct arguments *a);

/* The keys of the migration file, from their tables, as docs/migration-file.md has them. */
void print_reference(void);

/* pgcrossfade(1), as docs/pgcrossfade.1 has it. */
void print_manual(void);

/* Says "pgcrossfade: text" on standard error and gives the exit code of that kind. */
int report_error(const struct err *e);

#endif
