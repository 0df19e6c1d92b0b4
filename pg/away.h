/*
 * pg/away.h: indexes and constraints of a new table, and which of them are put away for the copy.
 *
 *   foreign keys   all
 *   a lookup's     stay: every chunk looks its rows up
 *   unique ones    stay where rows may be put aside: building one would find that two rows clash,
 *                  but not which to put aside
 *   held           stay: the replica identity, and what is not valid
 *   rested on      stay: something outside the migration needs them (a foreign key, a view). Told
 *                  by what the catalog has of it; the server's own word comes when they are dropped
 *   all others     are put away
 */
#ifndef PGCROSSFADE_PG_AWAY_H
#define PGCROSSFADE_PG_AWAY_H

#include "pg/conn.h"

struct away_scope {
	const char *target; /* the new table of a flow, quoted and qualified, with its partitions */
	const char *targets; /* those of all flows, a text[] */
	const char *key;     /* the flow's key columns, a text[]; NULL: none */
	bool lookup;         /* the flow is one */
	bool rejects;        /* the migration allows them */
};

enum away_column {
	AWAY_KIND, /* foreign key; index, key, unique */
	AWAY_TABLE,
	AWAY_NAME,
	AWAY_CREATE,
	AWAY_DROP,
	AWAY_VALIDATE, /* this and the next two: NULL where there is nothing to do */
	AWAY_SETTLE,   /* this and the next are formats of pg/ledger.h: names change until then */
	AWAY_CONFIRM,
	AWAY_STAYS,    /* why: lookup, rejects, held, rested; NULL: it is put away */
	AWAY_FLOW_KEY, /* it is unique over the flow's key */
};

/* Foreign keys, or indexes with what makes them; one row each. */
bool away_list(struct pg *target, const struct away_scope *scope, bool foreign_keys,
	       struct pg_result **out, struct err *e);

#endif
