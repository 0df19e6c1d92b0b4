/*
 * cli/interrupt.h: SIGINT and SIGTERM become a flag that loops look at.
 */
#ifndef PGCROSSFADE_CLI_INTERRUPT_H
#define PGCROSSFADE_CLI_INTERRUPT_H

#include <signal.h>

/* From here on both set the flag, and a closed pipe is an error of the write. */
const volatile sig_atomic_t *interrupt_catch(void);

#endif
