/*
 * cdc/backlog.h: what a slot has to send, read by SQL in large steps while there is much of it.
 *
 * The walsender makes a system call for every message; pg_logical_slot_get_binary_changes()
 * runs the same output plugin with the same options, and its rows come by COPY. So a backlog
 * is drained at several times the stream's speed, and the stream takes over near its end.
 *
 *   slot    --- advanced now and then to what is durable at the target ---> never past it
 *   cursor  --- a temporary copy of the slot: consumed step by step, gone with the connection
 *
 *   ask: how much is there, from where is it read?
 *     -> copy: everything up to a position, whole transactions in commit order -> ask ...
 *     -> rest: all was read, and the target is behind -> ask ...
 *     -> over: what is left, or what steps would be slow at, is for the stream
 *
 * The server puts the result of a step aside (work_mem, then temporary files) before it
 * sends any, so steps are bounded: by WAL, and by what earlier steps made of theirs. Each
 * call reads WAL again from the cursor's restart point. A step that brings nothing met a large
 * transaction: the next is long, so as to reach its end. Where one that stays open holds the
 * restart point back, steps would read more than they bring, and the stream is better; but for the
 * last of all, which comes to the end: up to 1 GB is read again for it, so that the target need not
 * wait for the stream.
 *
 * The stream decodes again from the slot's restart point. It takes over once the target has
 * what was read, and the slot was advanced to there.
 *
 * Frames     data has no wal_end; after each step comes a keepalive that has it.
 * Errors     ERR_CONFIG: the source does not go on from where the target stands. ERR_RETRY:
 *            the connection is lost. What the server refuses (no slot left to copy to, no room
 *            for the result) ends the drain early, with a line in the log.
 * Source     PostgreSQL 15, "Replication Management Functions"; logicalfuncs.c.
 */
#ifndef PGCROSSFADE_CDC_BACKLOG_H
#define PGCROSSFADE_CDC_BACKLOG_H

#include "cdc/source.h"
#include "pg/continuity.h"

struct backlog_options {
	const char *conninfo, *application;
	const char *slot;
	struct continuity continuity;
	lsn_t applied;              /* durable at the target already */
	const char *plugin_options; /* in form OPTION_SQL */
};

/* *out NULL: there is too little to be worth it. */
bool backlog_open(const struct backlog_options *options, struct source **out, struct err *e);

#endif
