/*
 * pg/slot.h: logical replication slots: made, looked at, dropped; where the WAL they read ends.
 *
 * A slot is made on a replication connection (pg_options.replication). The snapshot it
 * exports holds exactly the commits before its lsn, and lives until the next command on
 * that connection or its end: import it first, then go on.
 *
 * Ownership  strings in *out are in the arena given.
 * Errors     ERR_RETRY: the slot is in use, or the connection is lost; ERR_CONFIG: the
 *            name is taken, no free slot, the plugin or the privilege is missing.
 * Source     PostgreSQL 15, "Streaming Replication Protocol"; pg_replication_slots.
 */
#ifndef PGCROSSFADE_PG_SLOT_H
#define PGCROSSFADE_PG_SLOT_H

#include "core/arena.h"
#include "pg/conn.h"

struct slot_snapshot {
	lsn_t lsn; /* the consistent point */
	const char *name;
};

struct slot_status {
	bool exists;
	const char *plugin;   /* "" for a physical slot */
	const char *database; /* "" for a physical slot */
	bool active;
	int active_pid; /* 0: none */
	lsn_t confirmed_flush_lsn, restart_lsn;
	const char *wal_status; /* reserved, extended, unreserved, lost */
	int64_t kept_bytes;     /* of WAL, from restart_lsn to the server's insert position */
	int64_t safe_bytes;     /* more WAL until the server drops what it needs; -1: no limit */
	bool lost;              /* its WAL is gone, or it was invalidated: make a new one */
};

/* On a replication connection, outside a transaction. */
bool slot_create(struct pg *pg, const char *name, const char *plugin, struct arena *a,
		 struct slot_snapshot *out, struct err *e);
/* The same; the server drops it when the connection ends. */
bool slot_create_temporary(struct pg *pg, const char *name, const char *plugin, struct arena *a,
			   struct slot_snapshot *out, struct err *e);

/* On an ordinary connection. exists is false, and all else empty, when there is none. */
bool slot_lookup(struct pg *pg, const char *name, struct arena *a, struct slot_status *out,
		 struct err *e);

/*
 * On an ordinary connection. No slot of that name is success. Waits up to timeout_ms
 * while it is in use, then fails with ERR_RETRY and the pid that holds it.
 */
bool slot_drop(struct pg *pg, const char *name, int timeout_ms, struct err *e);

/* Where the source's WAL ends: its insert position. */
bool wal_insert_lsn(struct pg *source, lsn_t *out, struct err *e);

#endif
