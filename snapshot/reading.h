/*
 * snapshot/reading.h: old tables as an exported snapshot has them, or not at all.
 *
 * An imported snapshot says which rows a transaction sees, and nothing of where they lie. An
 * ALTER TABLE that rewrites a table makes all rows anew, as of now: an older snapshot finds the
 * table empty, without any error. So it does after TRUNCATE. VACUUM FULL and CLUSTER keep what
 * it sees, but under other ctids, and a table without a usable key is cut by these. Each of
 * them gives the table another file. So a table is locked before it is read, and then must
 * still lie in the file that the snapshot's own catalog names; the lock keeps it there.
 *
 *   snapshot --- rewritten --- lock, another file: ERR_RETRY, to be read under a new snapshot
 *   snapshot --- lock, same file, read, end --- rewritten: the next transaction finds that
 *
 * Locks      ACCESS SHARE, as reading takes it, until the transaction ends. Whoever waits for
 *            a stronger one holds up all writers of the table: end the transaction soon.
 * Errors     ERR_RETRY: the table was rewritten, or who exported the snapshot is gone. The
 *            transaction is the caller's to end, also then.
 */
#ifndef PGCROSSFADE_SNAPSHOT_READING_H
#define PGCROSSFADE_SNAPSHOT_READING_H

#include "core/plan.h"
#include "pg/conn.h"

/* mode: what BEGIN is told beside the isolation level, " READ ONLY" or "". */
bool reading_begin(struct pg *pg, const char *mode, const char *snapshot, struct err *e);

/*
 * Before the first read of the table, all its partitions included, in that transaction.
 * *rewritten: that is why it failed.
 */
bool reading_table(struct pg *pg, const struct table_plan *t, bool *rewritten, struct err *e);

#endif
