#include "cli/command.h"

#include "core/log.h"
#include "service/run.h"

#include <signal.h>

/* The one global: a signal handler has no other way to speak. */
static volatile sig_atomic_t stop_requested;

static void request_stop(int signal)
{
	(void)signal;
	stop_requested = 1;
}

static void catch_signals(void)
{
	struct sigaction stop = { .sa_handler = request_stop };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

int run_command(const struct migration *m, const struct arguments *a)
{
	struct err e = ERR_INIT;

	(void)a;
	catch_signals();
	log_event(LOG_INFO, "start", "migration=%s version=%s", m->name, PGCROSSFADE_VERSION);
	if (!service_run(m, &stop_requested, &e))
		return report_error(&e);
	log_event(LOG_INFO, "end", "migration=%s", m->name);
	return EXIT_DONE;
}
