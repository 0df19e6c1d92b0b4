/*
 * service/partitions.h: partitioned old tables under a running stream.
 *
 * Changes come under the name of the partition they fell on. With
 * publish_via_partition_root they would come under the root's, but then a TRUNCATE of one
 * partition would not come at all, and an old row would be told by the root's replica
 * identity, which is not the partition's that sent it.
 *
 *   CREATE TABLE ... PARTITION OF    empty at first: its rows come through the stream
 *   ATTACH of an empty table         as well
 *   ATTACH of one with rows          they never came: the run stops. wal2json sends those that
 *                                    the attaching transaction wrote, and it goes on
 *   one that is unlogged or foreign  sends nothing: the run stops
 *   DETACH, DROP of a partition      its rows went without a trace: the run stops
 *   TRUNCATE of all partitions       of the table
 *   TRUNCATE of some                 which rows those were is not known: the run stops
 *
 * The partitions that the copy and the stream stand on are in the ledger, each with the
 * transaction that attached it, so that a restart notices what happened meanwhile.
 *
 * Ownership  borrows the session until partitions_destroy.
 * Errors     ERR_CONFIG: the migration cannot go on.
 */
#ifndef PGCROSSFADE_SERVICE_PARTITIONS_H
#define PGCROSSFADE_SERVICE_PARTITIONS_H

#include "core/change.h"
#include "service/session.h"

/* What the stream's tables are to the plan. */
struct partitions;

struct partitions *partitions_create(struct session *s);
void partitions_destroy(struct partitions *p); /* NULL is fine */

/*
 * Before anything else looks at t: partitions made since the plan are added to it, changes
 * of tables that are nobody's are taken out, a TRUNCATE of all partitions becomes one.
 *
 * A commit is decoded before the source's other sessions see it: by a moment, or for as long
 * as it waits for a standby. Whose a table is that it made can be told only then: with *seen
 * false t is as it was, and to be asked about again.
 */
bool partitions_resolve(struct partitions *p, struct transaction *t, bool *seen, struct err *e);

/* Writes the partitions as they are now into the ledger: before the slot is made. */
bool partitions_record(struct session *s, struct err *e);

/*
 * Are they still those? New ones that came empty are recorded. *told false: whether one did
 * cannot be told now, for somebody holds it locked.
 */
bool partitions_check(struct session *s, bool *told, struct err *e);

#endif
