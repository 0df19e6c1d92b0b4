/*
 * pg/ledger.h: the durable state of a migration, in schema pgcrossfade of the target.
 *
 * The process keeps nothing: phase, chunks, progress and requests are rows here, and a
 * run on any host goes on from them.
 *
 *   migration     one row a migration: phase, what it was started with, last error
 *   chunk         how each table is cut; written once, before its first row is copied
 *   chunk_copied  one row a copied chunk, committed with the chunk's rows
 *   partition     partitions of the old tables that copy and stream stand on
 *   reread        rows that were read once more, under an LSN of their own
 *   progress      the last source transaction applied, updated in the batch's own commit
 *   definition    indexes and constraints that are dropped for the copy, until rebuilt
 *   request       what the other commands ask of `run`, and its answer
 *   reject        rows that the SELECT or the target refused; see pg/ledger_reject.h
 *   service       the running process's last sign of life, for `status`
 *
 * Ownership  strings go to the arena given. Connections are the caller's, in no
 *            transaction unless said.
 */
#ifndef PGCROSSFADE_PG_LEDGER_H
#define PGCROSSFADE_PG_LEDGER_H

#include "core/arena.h"
#include "pg/conn.h"

/* --- the schema --- */

/*
 * A ledger has a version. A `run` brings an older one up to date, which takes its migration's
 * lock; every other command refuses it, and all refuse a newer one.
 */

/* Creates what is missing, and brings up to date what is older. */
bool ledger_create(struct pg *target, struct err *e);
bool ledger_exists(struct pg *target, bool *exists, struct err *e);
/* Where there is no ledger: *older is false, and nothing is done. */
bool ledger_older(struct pg *target, bool *older, struct err *e);
bool ledger_upgrade(struct pg *target, struct err *e);
/* Of a ledger that is there: is it of the version that is read here? */
bool ledger_check_version(struct pg *target, struct err *e);

/* --- who serves the migration --- */

/*
 * One `run` a migration: a session lock on the target, which is what being alive means for all
 * commands. *taken false: another holds it.
 */
bool ledger_lock(struct pg *target, const char *migration, bool *taken, struct err *e);

/* Shows others that this session waits for that lock, or does no more. */
bool ledger_lock_wait(struct pg *target, const char *migration, bool waits, struct err *e);

/* A `run` with a session at the target, as its lock shows. Works without a ledger, too. */
struct ledger_run {
	bool holds;     /* false: it waits for the one that does */
	int pid;        /* of its backend */
	double seconds; /* since it connected; negative: not known */
};

/* The one that holds the lock comes first. */
bool ledger_runs(struct pg *target, const char *migration, struct arena *a, struct ledger_run **out,
		 unsigned *count, struct err *e);

/* --- the migration's row --- */

struct ledger_migration {
	const char *name;
	const char *phase;
	const char *digest;        /* of the flows it was started with */
	const char *source_system; /* pg_control_system().system_identifier */
	const char *source_database;
	int source_timeline;
	const char *error;      /* NULL: none since the last run began */
	const char *error_at;   /* NULL with error */
	unsigned definitions;   /* put away for the copy */
	lsn_t slot_lsn;         /* the main slot's consistent point, L0 */
	int64_t write_pause_us; /* -1: not switched */
	const char *phase_since;
	bool targets_known; /* see ledger_targets() */
};

/* *out is NULL when there is no such migration (or no ledger). */
bool ledger_load(struct pg *target, const char *migration, struct arena *a,
		 struct ledger_migration **out, struct err *e);
bool ledger_insert(struct pg *target, const struct ledger_migration *m, struct err *e);
bool ledger_set_phase(struct pg *target, const char *migration, const char *phase, struct err *e);
bool ledger_set_slot_lsn(struct pg *target, const char *migration, lsn_t lsn, struct err *e);
bool ledger_set_write_pause(struct pg *target, const char *migration, int64_t us, struct err *e);

/* The columns that flows read, see pg/altered.h. NULL: not known; an earlier version kept less. */
struct ledger_columns {
	const char *lines, *stamps;
};

bool ledger_columns(struct pg *target, const char *migration, struct arena *a,
		    struct ledger_columns *out, struct err *e);
bool ledger_set_columns(struct pg *target, const char *migration, const struct ledger_columns *c,
			struct err *e);

/* The tables that the migration fills, quoted and qualified. They are known by oid from then on. */
bool ledger_set_targets(struct pg *target, const char *migration, const char *const *tables,
			unsigned count, struct err *e);
/* As they are called now; one that was made anew under the old name is not among them. *known
 * false: an earlier version began the migration. */
bool ledger_targets(struct pg *target, const char *migration, struct arena *a, bool *known,
		    const char ***out, unsigned *count, struct err *e);

bool ledger_set_error(struct pg *target, const char *migration, const char *error, struct err *e);

/* Deletes every row of the migration; the schema goes with the last one. */
bool ledger_forget(struct pg *target, const char *migration, struct err *e);

/* --- chunks --- */

struct ledger_chunk {
	unsigned no;
	unsigned nbounds;
	const char **lo, **hi; /* nbounds texts; NULL: open */
	bool copied;
	lsn_t lg; /* of the generation it was copied under */
};

/* The table's chunks in order. *count 0: not cut yet. */
bool ledger_chunks(struct pg *target, const char *migration, const char *relation, struct arena *a,
		   struct ledger_chunk **out, unsigned *count, struct err *e);

/* Inside a transaction of the caller's. */
bool ledger_add_chunk(struct pg *target, const char *migration, const char *relation,
		      const struct ledger_chunk *c, struct err *e);

/*
 * Claims the chunk for the transaction it is called in, before its rows: a second copy
 * of it waits here for the first and fails with SQLSTATE 23505 if that one commits.
 */
bool ledger_chunk_begin(struct pg *target, const char *migration, const char *relation, unsigned no,
			lsn_t lg, struct err *e);
bool ledger_chunk_done(struct pg *target, const char *migration, const char *relation, unsigned no,
		       uint64_t rows, uint64_t bytes, struct err *e);

/* Drops the table's chunks, copied or not, and its rejects. Inside a transaction of the caller's. */
bool ledger_drop_chunks(struct pg *target, const char *migration, const char *relation,
			struct err *e);

/* --- partitions of the old tables --- */

struct ledger_partition {
	const char *relation; /* the partitioned table's label */
	const char *oid, *name;
	const char *attached; /* xid of the transaction that attached it */
};

/* Inside a transaction of the caller's, or not. */
bool ledger_add_partition(struct pg *target, const char *migration,
			  const struct ledger_partition *p, struct err *e);
bool ledger_partitions(struct pg *target, const char *migration, struct arena *a,
		       struct ledger_partition **out, unsigned *count, struct err *e);
bool ledger_drop_partitions(struct pg *target, const char *migration, struct err *e);

/* --- keys whose rows were read again, each under an LSN of its own --- */

struct ledger_reread {
	const char *relation;
	unsigned nkey;
	const char **key;
	lsn_t lg;         /* it was read under */
	lsn_t commit_lsn; /* of the transaction that made it necessary */
};

bool ledger_add_reread(struct pg *target, const char *migration, const struct ledger_reread *r,
		       struct err *e);
bool ledger_rereads(struct pg *target, const char *migration, const char *relation, struct arena *a,
		    struct ledger_reread **out, unsigned *count, struct err *e);
/* Those of transactions past that LSN, which were not applied. */
bool ledger_drop_rereads(struct pg *target, const char *migration, lsn_t applied, struct err *e);

/* --- saved definitions --- */

struct ledger_definition {
	const char *table, *name;
	const char *kind; /* index, key, unique, foreign key; of one that is back: validate, settle,
		 * confirm */
	const char *create; /* SQL that makes it again; of settle and confirm a format, see below */
	const char *drop;   /* SQL that drops it */
};

bool ledger_add_definition(struct pg *target, const char *migration,
			   const struct ledger_definition *d, struct err *e);
bool ledger_definitions(struct pg *target, const char *migration, struct arena *a,
			struct ledger_definition **out, unsigned *count, struct err *e);
/* Of one that is saved: is it to be brought back? Others are back, and settled after the switch. */
bool ledger_is_away(const struct ledger_definition *d);
/* After the last ledger_add_definition: how many there are to bring back. */
bool ledger_count_definitions(struct pg *target, const char *migration, struct err *e);
/* Is the unique index of this table's flow key away? False too when there is no ledger. */
bool ledger_key_away(struct pg *target, uint32_t table_oid, bool *away, struct err *e);
bool ledger_drop_definition(struct pg *target, const char *migration,
			    const struct ledger_definition *d, struct err *e);

/* --- foreign keys that are back, and are to be settled --- */

/*
 * The switch may give tables and columns other names. So a foreign key that is back is known by
 * its oid, and what is left to do to it is a format: %1$s its table, %2$s its name, %3$s its
 * columns, %4$s the table it refers to, %5$s the columns there, %6$s the statement of its comment.
 */

/*
 * While the names are still those that it was saved under: which foreign key is which. What an
 * earlier version saved, as SQL with names, is made a format.
 */
bool ledger_mark_made(struct pg *target, const char *migration, struct err *e);

struct ledger_settlement {
	struct ledger_definition
	    saved;                /* create: SQL with the names of today; "" where it is gone */
	bool marked;              /* false: nobody knows which it is */
	const char *table, *name; /* today's; "" */
	const char *refers_to;
};

/* Settle before confirm. Those that are still away are not among them. */
bool ledger_settlements(struct pg *target, const char *migration, struct arena *a,
			struct ledger_settlement **out, unsigned *count, struct err *e);

/* It was settled, by making it anew perhaps. Inside a transaction of the caller's. */
bool ledger_settled(struct pg *target, const char *migration, const struct ledger_settlement *s,
		    struct err *e);

#endif
