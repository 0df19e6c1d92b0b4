#include "cutover/hooks.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "pg/conn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOOK_LIMIT_MS = 60000, POLL_MS = 20 };

static const struct {
	const char *name;  /* in the migration file */
	const char *event; /* for NOTIFY and the command */
} hooks[HOOK_COUNT] = {
	[HOOK_LAG_ZERO] = { "on_lag_zero", "lag-zero" },
	[HOOK_BEFORE_CUTOVER] = { "before_cutover", "before-cutover" },
	[HOOK_AFTER_CUTOVER] = { "after_cutover", "after-cutover" },
	[HOOK_ERROR] = { "on_error", "error" },
};

static void notify(const struct migration *m, enum hook hook, struct pg *target)
{
	struct arena scratch = ARENA_INIT;
	struct err e = ERR_INIT;
	/* both are plain names: nothing in them needs escaping in JSON */
	const char *payload = arena_printf(&scratch, "{\"migration\": \"%s\", \"event\": \"%s\"}",
					   m->name, hooks[hook].event);

	if (!target ||
	    !pg_query(target, "SELECT pg_notify('pgcrossfade', $1)", 1, &payload, NULL, &e))
		log_event(LOG_WARN, "notify.failed", "hook=%s error=%s", hooks[hook].name,
			  log_quote(&scratch, target ? e.text : "no connection"));
	arena_finish(&scratch);
}

static pid_t start_command(const struct migration *m, enum hook hook)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setenv("PGCROSSFADE_MIGRATION", m->name, 1);
	setenv("PGCROSSFADE_EVENT", hooks[hook].event, 1);
	setpgid(0, 0);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", m->hooks[hook], (char *)NULL);
	_exit(127);
}

/* False: it had to be ended. */
static bool wait_command(pid_t pid, int *status)
{
	int64_t until = clock_ms() + HOOK_LIMIT_MS;
	pid_t got;

	while ((got = waitpid(pid, status, WNOHANG)) == 0 && clock_ms() < until)
		clock_sleep_ms(POLL_MS);
	if (got != 0)
		return got == pid;
	kill(-pid, SIGKILL);
	waitpid(pid, status, 0);
	return false;
}

bool hook_run(const struct migration *m, enum hook hook, struct pg *target, struct err *e)
{
	int status = 0;

	notify(m, hook, target);
	if (!m->hooks[hook])
		return true;
	log_event(LOG_INFO, "hook", "name=%s", hooks[hook].name);
	pid_t pid = start_command(m, hook);
	if (pid < 0)
		return err_set(e, ERR_RETRY, "hook %s: fork: %s", hooks[hook].name,
			       strerror(errno));
	if (!wait_command(pid, &status))
		return err_set(e, ERR_CONFIG, "hook %s ran longer than %d s and was ended",
			       hooks[hook].name, HOOK_LIMIT_MS / 1000);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	return err_set(e, ERR_CONFIG, "hook %s ended with %s %d", hooks[hook].name,
		       WIFEXITED(status) ? "status" : "signal",
		       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}
