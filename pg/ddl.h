/*
 * pg/ddl.h: statements about whole tables and roles.
 */
#ifndef PGCROSSFADE_PG_DDL_H
#define PGCROSSFADE_PG_DDL_H

#include "core/arena.h"
#include "pg/conn.h"

struct ddl_rename {
	const char *schema, *name;       /* now */
	const char *to_schema, *to_name; /* then */
};

const char *ddl_rename_sql(const struct ddl_rename *r, struct arena *a); /* "": same name */
bool ddl_rename(struct pg *pg, const struct ddl_rename *r, struct err *e);

/* For new sessions of the role in this database. */
bool ddl_role_search_path(struct pg *pg, const char *role, const char *const *path, unsigned n,
			  struct err *e);

/* Takes every row, inside a transaction of the caller's. */
bool ddl_truncate(struct pg *pg, const char *quoted, struct err *e);

bool ddl_is_empty(struct pg *pg, const char *quoted, bool *empty, struct err *e);
bool ddl_analyze(struct pg *pg, const char *quoted, struct err *e);

#endif
