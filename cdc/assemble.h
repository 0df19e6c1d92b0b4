/*
 * cdc/assemble.h: events in, transactions out, in commit order.
 *
 * A transaction that outgrows the budget leaves in parts; a logical message that
 * belongs to no transaction is dropped (barriers are transactional).
 *
 * Ownership  *out, where set, is the caller's.
 * Errors     ERR_INPUT: events in an order the protocol forbids.
 */
#ifndef PGCROSSFADE_CDC_ASSEMBLE_H
#define PGCROSSFADE_CDC_ASSEMBLE_H

#include "cdc/decoder.h"

struct assembler;

struct assembler *assembler_create(const struct decoder_ops *ops, size_t part_bytes);
void assembler_destroy(struct assembler *a); /* NULL is fine; drops an unfinished transaction */

/* One message; *out is a transaction (or part) that is now complete, or NULL. */
bool assembler_feed(struct assembler *a, struct bytes msg, struct transaction **out, struct err *e);

/* True between BEGIN and COMMIT. */
bool assembler_open(const struct assembler *a);

/* Bytes of the transaction, or part of one, that is being put together. */
size_t assembler_bytes(const struct assembler *a);

#endif
