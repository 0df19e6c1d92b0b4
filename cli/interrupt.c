#include "cli/interrupt.h"

#include <stddef.h>

/* The one global: a signal handler has no other way to speak. */
static volatile sig_atomic_t requested;

static void request(int signal)
{
	(void)signal;
	requested = 1;
}

const volatile sig_atomic_t *interrupt_catch(void)
{
	struct sigaction stop = { .sa_handler = request };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	return &requested;
}
