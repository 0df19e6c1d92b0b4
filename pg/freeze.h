/*
 * pg/freeze.h: no more writes to the old tables, and the durable sign that the switch
 * happened, both committed by the transaction that holds their lock.
 *
 * At the source, in schema pgcrossfade: a trigger function a migration, and table
 * `switched` with a row for each migration whose switch is committed. Two triggers a table,
 * both of them for replicas, too:
 *
 *   pgcrossfade_freeze       a statement, also TRUNCATE and one that touches no row
 *   pgcrossfade_freeze_row   a row: what a subscription writes; partitions made after the switch
 */
#ifndef PGCROSSFADE_PG_FREEZE_H
#define PGCROSSFADE_PG_FREEZE_H

#include "core/arena.h"
#include "core/plan.h"
#include "pg/conn.h"

/*
 * ERR_CONFIG where the switch of another migration froze one of the old tables, or a partition. A
 * frozen table is copied and followed as any other, but it cannot be frozen twice. Takes no lock.
 */
bool freeze_no_other(struct pg *source, const struct plan *plan, struct err *e);

/* What the switch will need, ahead of the lock. Can be entered again. */
bool freeze_prepare(struct pg *source, const char *migration, struct err *e);

/* The triggers that freeze_table makes, of one table. */
const char *freeze_table_sql(const char *migration, const char *table, struct arena *a);

/*
 * Inside the locking transaction, before it is made sure that this run still holds the migration:
 * a run that takes over later learns from freeze_marked what became of this switch.
 */
bool freeze_claim(struct pg *source, const char *migration, struct err *e);

/* Inside the locking transaction. table: quoted, qualified; with all its partitions. */
bool freeze_table(struct pg *source, const char *migration, const char *table, struct err *e);
bool freeze_mark(struct pg *source, const char *migration, int64_t write_pause_us, struct err *e);

/*
 * Is the switch committed? Waits for one that is still under way in a backend of another run, which
 * was killed or has lost the migration. *write_pause_us is set when it is.
 */
bool freeze_marked(struct pg *source, const char *migration, bool *marked, int64_t *write_pause_us,
		   struct err *e);

/* Drops the tables that carry this migration's freeze, whatever their names are by now. */
bool freeze_drop_tables(struct pg *source, const char *migration, struct err *e);

/* Who holds what keeps those tables from being dropped, in words; "" when nobody does. */
bool freeze_blockers(struct pg *source, const char *migration, struct arena *a, const char **out,
		     struct err *e);

/* Takes the sign, the function and with it the triggers away; then the schema if empty. */
bool freeze_remove(struct pg *source, const char *migration, struct err *e);

#endif
