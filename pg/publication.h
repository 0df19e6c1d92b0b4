/*
 * pg/publication.h: which tables and which kinds of changes the source publishes.
 */
#ifndef PGCROSSFADE_PG_PUBLICATION_H
#define PGCROSSFADE_PG_PUBLICATION_H

#include "core/arena.h"
#include "pg/conn.h"

struct publication {
	const char *name;
	const char *publish; /* insert, update, delete, truncate */
	unsigned ntables;
	const char *const *tables; /* quoted, qualified */
};

/* CREATE PUBLICATION. NULL: there is nothing to publish. */
const char *publication_sql(const struct publication *p, struct arena *a);

/* Makes it, or makes an existing one say exactly this. No tables: dropped. */
bool publication_set(struct pg *source, const struct publication *p, struct err *e);
bool publication_drop(struct pg *source, const char *name, struct err *e);

/* Of two, each of which may have no tables: what they do that they were not made to do, in words;
 * and the tables that are in neither of them. NULL: none. */
bool publication_differences(struct pg *source, const struct publication two[2], struct arena *a,
			     const char **out, struct err *e);
bool publication_lacks(struct pg *source, const struct publication two[2], struct arena *a,
		       const char **out, struct err *e);

#endif
