/*
 * pg/team.h: a crew whose workers each have a connection of their own, so that what they
 * run can be cancelled.
 *
 * Ownership  as core/crew.h; a worker's connections are the team's once team_connect has
 *            made them, and are closed when its work returns, but for those released.
 */
#ifndef PGCROSSFADE_PG_TEAM_H
#define PGCROSSFADE_PG_TEAM_H

#include "core/crew.h"
#include "pg/conn.h"

struct team;

/* What a worker gets: its team and itself. */
struct team_member {
	struct team *team;
	unsigned no;
	const atomic_bool *stop;
	void *arg;
};

typedef bool team_work(const struct team_member *m, struct err *e);

bool team_start(unsigned workers, team_work *work, void *arg, struct team **out, struct err *e);

/* For the worker: one more connection, up to two. */
bool team_connect(const struct team_member *m, const struct pg_options *to, struct pg **out,
		  struct err *e);

/* For the worker: a connection that is to outlive its work. Nobody cancels or closes it then. */
void team_release(const struct team_member *m, const struct pg *pg);

enum crew_state team_wait(struct team *t, int timeout_ms, struct err *e);

/* Cancels what runs, and what begins still; joins. NULL is fine. */
void team_destroy(struct team *t);

#endif
