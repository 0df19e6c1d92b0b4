/*
 * service/status.h: what the ledger says of a migration, from any host.
 *
 * Ownership  everything lives in the arena.
 */
#ifndef PGCROSSFADE_SERVICE_STATUS_H
#define PGCROSSFADE_SERVICE_STATUS_H

#include "core/arena.h"
#include "core/err.h"
#include "pg/heartbeat.h"
#include "pg/ledger.h"
#include "pg/ledger_reject.h"

struct table_status {
	const char *table;
	unsigned chunks, chunks_done;
	uint64_t rows, bytes;
};

struct status {
	const struct ledger_migration *migration;
	bool running; /* a `run` holds the migration's lock */
	unsigned ntables;
	struct table_status *tables;
	uint64_t rows_copied, bytes_copied, changes_applied, transactions_applied;
	double chunk_rate, row_rate, byte_rate; /* of the copy, a second, lately; 0: unknown */
	double copy_seconds;                    /* from the first chunk to the last one so far */
	unsigned nrejects;                      /* flows that have rejects */
	struct reject_count *rejects;
	lsn_t applied; /* everything before it is durable at the target; 0: unknown */
	const struct heartbeat *heartbeat; /* NULL: no run was ever up */
};

/* *out NULL: the ledger does not know the migration. */
bool status_load(struct pg *target, const char *migration, struct arena *a, struct status **out,
		 struct err *e);

bool status_running(struct pg *target, const char *migration, bool *running, struct err *e);

#endif
