/*
 * pg/continuity.h: does the source go on from where the target stands?
 *
 * A server that was restored or promoted, or a slot that was made again, streams as if
 * nothing had happened, and what it leaves out is lost without a word. So positions are
 * compared whenever a stream begins, and while it runs:
 *
 *   the source's WAL   ------------------------------------> flushed
 *   the slot           ----------> confirmed
 *   the ledger         ------------------> known             confirmed <= known <= flushed
 *
 *   flushed < known      the source was restored to an earlier state
 *   known < confirmed    the target was, or the slot was made again: changes are gone
 *
 * Nothing is confirmed to the source before the ledger has it durably, so that the second
 * rule holds also for what the source passed over without finding anything for us.
 *
 * Ownership  strings are borrowed.
 * Errors     ERR_CONFIG: it does not; ERR_RETRY: a standby, which may be promoted yet.
 */
#ifndef PGCROSSFADE_PG_CONTINUITY_H
#define PGCROSSFADE_PG_CONTINUITY_H

#include "pg/conn.h"

struct continuity {
	const char *system; /* pg_control_system().system_identifier */
	int timeline;
	const char *slot, *plugin; /* NULL slot: there is none yet, and nothing to compare */
	lsn_t known;               /* applied, or passed over, as the ledger has it */
};

struct continuity_slot {
	bool active;
	lsn_t confirmed;
};

/* On any connection to the source, in no transaction; a replication connection will do. */
bool continuity_check(struct pg *source, const struct continuity *c, struct continuity_slot *out,
		      struct err *e);

/* The last of its rules alone: what a slot that begins at `confirmed` would send. */
bool continuity_covers(const struct continuity *c, lsn_t confirmed, struct err *e);

#endif
