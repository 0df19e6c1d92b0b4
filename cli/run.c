#include "cli/command.h"

#include "cli/interrupt.h"
#include "core/log.h"
#include "service/run.h"

int run_command(const struct migration *m, const struct arguments *a)
{
	struct err e = ERR_INIT;

	(void)a;
	const volatile sig_atomic_t *stop = interrupt_catch();
	log_event(LOG_INFO, "start", "migration=%s version=%s", m->name, PGCROSSFADE_VERSION);
	if (!service_run(m, stop, &e))
		return report_error(&e);
	log_event(LOG_INFO, "end", "migration=%s", m->name);
	return EXIT_DONE;
}
