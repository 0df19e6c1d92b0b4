/*
 * pg/sqlstate.h: what a server's SQLSTATE asks of us.
 *
 * Source     PostgreSQL 15, appendix A, "PostgreSQL Error Codes".
 */
#ifndef PGCROSSFADE_PG_SQLSTATE_H
#define PGCROSSFADE_PG_SQLSTATE_H

#include "core/err.h"

/* sqlstate: five characters; NULL or "" (the server never answered) is ERR_RETRY. */
enum err_kind sqlstate_kind(const char *sqlstate);

#endif
