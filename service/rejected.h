/*
 * service/rejected.h: rows that were put aside, as `run` and the commands deal with them.
 *
 * Names      targets as the migration file has them, schema.name; a list of them is parted
 *            by commas.
 */
#ifndef PGCROSSFADE_SERVICE_REJECTED_H
#define PGCROSSFADE_SERVICE_REJECTED_H

#include "pg/conn.h"
#include "transform/mapping.h"

/* ERR_CONFIG for a name that no flow writes. */
bool rejected_check_names(const struct migration *m, const char *names, struct err *e);

/* ERR_CONFIG while a flow has rejects, or a foreign key waits for some, whose table is not among
 * the accepted names. */
bool rejected_gate(struct pg *target, const char *migration, const char *accepted, struct err *e);

/* One log line a flow that is switched without its rejects. */
void rejected_log(struct pg *target, const char *migration);

#endif
