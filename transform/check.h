/*
 * transform/check.h: what the checks of a migration share: whom to ask and where to report.
 *
 * Errors  a check returns false when a server could not be asked; what is wrong with the
 *         migration is a finding.
 */
#ifndef PGCROSSFADE_TRANSFORM_CHECK_H
#define PGCROSSFADE_TRANSFORM_CHECK_H

#include "transform/compile.h"
#include "transform/flow.h"
#include "transform/sql.h"

/* One of the two servers, as the checks need to know it. */
struct server {
	struct pg *pg;
	const char *subject;              /* "source server" */
	const char *system, *database;    /* identifiers; equal on both: one database */
	const char *encoding, *collation; /* collation: everything that orders and folds text */
	const char *user, *dbname;        /* quoted */
	bool may_create, may_temp;        /* in the database */
};

struct check {
	const struct migration *m;
	struct server source, target;
	struct arena *arena;
	struct findings *findings;
	bool one_database;
	const char *phase;                /* as the target's ledger has it; NULL: not begun */
	bool started;                     /* run has begun: what it takes once is taken */
	const struct check_options *deep; /* NULL: only what run looks at before it starts */
};

/* A finding as transform/finding.h says: "what, why; what to do". */
void check_pass(struct check *c, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void check_warn(struct check *c, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void check_fail(struct check *c, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, at a place in the file. */
void check_warn_at(struct check *c, const char *subject, struct place p, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void check_fail_at(struct check *c, const char *subject, struct place p, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same at a byte of the flow's SELECT. */
void check_fail_select(struct check *c, const struct flow *f, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* check_servers.c: versions, settings, free slots; fills in both servers. */
bool check_servers(struct check *c, struct err *e);

/* check_source.c: can the source be followed? */
bool check_source(struct check *c, struct err *e);

/* Can its tables be frozen at the cutover? */
bool check_frozen(struct check *c, const struct plan *plan, struct err *e);

/* Makes a temporary slot with the decoder and drops it: there is no other proof. */
bool check_decoder(struct check *c, struct err *e);

/* check_settings.c: settings, standbys, connections, event triggers, on both sides. */
bool check_settings(struct check *c, struct err *e);

/* Name of the slot and the first publication. */
const char *check_slot_name(struct arena *a, const char *migration);

/* The new tables of all flows, quoted and qualified: a text[]. */
const char *check_targets(struct check *c);

/* check_rights.c: what the role may do in each database. *askable false: too little to go on. */
bool check_rights(struct check *c, bool *askable, struct err *e);
bool check_may_create(struct check *c, struct err *e);
bool check_stage(struct check *c, const struct flow *f, struct err *e);

/* check_owner.c: what the role may do to the tables and their sequences. */
bool check_owners(struct check *c, struct flow *f, struct err *e);
bool check_drawn(struct check *c, const struct flow *f, struct err *e);
bool check_sequences(struct check *c, const struct plan *plan, struct err *e);

/* check_explain.c: may the role run the flow's statements? */
bool check_explain(struct check *c, struct flow *f, struct err *e);

/* check_target.c: is the new table empty, what is put away, what is not carried over? */
bool check_target(struct check *c, struct flow *f, struct err *e);

/* check_load.c: what holds up a slot, and the WAL that it will keep. */
bool check_load(struct check *c, const struct plan *plan, struct err *e);

/* check_data.c: the flows over the rows that are there, for so long all together. */
bool check_data(struct check *c, const struct flow *flows, int64_t time_ms, struct err *e);

/* check_pure.c: are the SELECT's functions and operators the same each time? Sets
 * *builtin when all it names are PostgreSQL's own. */
bool check_pure(struct check *c, const struct flow *f, bool *builtin, struct err *e);

/* check_tables.c: the two tables, the outputs, the key. */
bool check_tables(struct check *c, struct flow *f, struct err *e);
bool check_outputs(struct check *c, struct flow *f, struct err *e);
bool check_key(struct check *c, struct flow *f, struct err *e);

/* check_writes.c: what else happens when the target is written? */
bool check_writes(struct check *c, struct flow *f, struct err *e);

/* check_shape.c: how many rows an old row makes, and of what; for all flows together: who
 * fills the tables that they read. */
bool check_shape(struct check *c, struct flow *f, struct err *e);
void check_reads(struct check *c, const struct flow *flows);

/* check_union.c: flows of one old table agree; flows into one new table are told apart, and
 * which of them can be cleared by themselves (sole). */
void check_agreement(struct check *c, const struct flow *flows);
void check_union(struct check *c, const struct flow *flows);

/* check_stream.c: can the change stream carry what the flow reads? */
bool check_stream(struct check *c, struct flow *f, struct err *e);

/* check_highest.c: what the cutover reads under its lock to set sequences. */
bool check_highest(struct check *c, const struct plan *plan, struct err *e);

/* check_input.c: how the stream's texts become values of old's types. */
bool check_input(struct check *c, struct flow *f, struct err *e);

/* check_copy.c: may the copy's SELECT run at the source, and with which casts? */
bool check_copy(struct check *c, struct flow *f, bool builtin, struct err *e);

/* check_prepare.c: what the target says of each statement. */
bool check_prepare(struct check *c, const struct flow *f, struct err *e);

/* check_switch.c: the renames and roles of the switch. */
bool check_switch(struct check *c, struct err *e);

#endif
