#include "cli/status.h"

#include "cli/command.h"
#include "cli/interrupt.h"
#include "core/clock.h"
#include "cutover/phase.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SLEEP_MS = 50 };

struct watching {
	const struct migration *migration;
	const struct arguments *arguments;
	const volatile sig_atomic_t *stop;
	struct onlooker onlooker;
	bool known; /* the ledger has had the migration */
};

/* False: it cannot be written. */
static bool print(const struct watching *w, const struct overview *v, struct arena *a)
{
	bool watch = w->arguments->watch_ms >= 0;

	if (w->arguments->json) {
		status_print_json(v, !watch);
	} else if (!watch) {
		status_print_text(v, a);
	} else if (!isatty(STDOUT_FILENO)) {
		status_print_line(v, a);
	} else {
		fputs("\033[H\033[J", stdout); /* home, and clear what follows */
		status_print_text(v, a);
	}
	return !watch || fflush(stdout) == 0;
}

/* The target answers, and does not know the migration. */
static int unknown(const struct watching *w)
{
	struct err e = ERR_INIT;

	if (w->known) {
		printf("migration %s is gone from the ledger: it was aborted\n",
		       w->migration->name);
		return EXIT_DONE;
	}
	err_set(&e, ERR_CONFIG, "the target's ledger does not know migration %s; `run` starts it",
		w->migration->name);
	return report_error(&e);
}

static int unreachable(const struct server_view *v, const char *side)
{
	struct err e = ERR_INIT;

	err_set(&e, v->error_kind, "connect to the %s: %s", side, v->error);
	return report_error(&e);
}

/* Looks once. True: that was the last time, with *code. */
static bool look(struct watching *w, struct arena *a, int *code)
{
	const struct overview *v = onlooker_look(&w->onlooker, a);
	bool once = w->arguments->watch_ms < 0;

	*code = EXIT_DONE;
	if (!v->target.error && !v->status && !v->nruns && (once || w->known)) {
		*code = unknown(w);
		return true;
	}
	if (!print(w, v, a)) {
		if (errno == EPIPE) /* that its reader goes is one of its ends */
			clearerr(stdout);
		return true;
	}
	w->known |= v->status != NULL;
	if (once && v->target.error)
		*code = unreachable(&v->target, "target");
	else if (once && v->source.error)
		*code = unreachable(&v->source, "source");
	return once ||
	       (v->status && strcmp(v->status->migration->phase, phase_name(PH_COMPLETE)) == 0);
}

static void pause_until(const struct watching *w, int64_t until_ms)
{
	while (!*w->stop && clock_ms() < until_ms)
		clock_sleep_ms(SLEEP_MS);
}

int status_command(const struct migration *m, const struct arguments *a)
{
	struct watching w = { .migration = m, .arguments = a };
	struct arena arena = ARENA_INIT;
	int code = EXIT_DONE;

	w.stop = a->watch_ms >= 0 ? interrupt_catch() : NULL;
	onlooker_init(m, &w.onlooker);
	for (;;) {
		int64_t began = clock_ms();
		if (look(&w, &arena, &code))
			break;
		pause_until(&w, began + a->watch_ms);
		if (*w.stop)
			break;
		arena_reset(&arena);
	}
	onlooker_finish(&w.onlooker);
	arena_finish(&arena);
	return code;
}
