/*
 * service/overview.h: everything `status` tells: the ledger, and both servers as they are now.
 *
 * A server that does not answer costs only what it alone knows: its view says why, and the
 * figures that need it are unknown.
 *
 * Ownership  an overview lives in the arena given. An onlooker borrows the migration.
 * Units      bytes, seconds; negative: unknown.
 */
#ifndef PGCROSSFADE_SERVICE_OVERVIEW_H
#define PGCROSSFADE_SERVICE_OVERVIEW_H

#include "pg/activity.h"
#include "pg/request.h"
#include "pg/slot.h"
#include "service/session.h"
#include "service/status.h"

struct server_view {
	const char *error; /* NULL: it answered */
	enum err_kind error_kind;
	unsigned nblocks; /* what our backends wait for there */
	struct activity_block *blocks;
};

struct overview {
	const char *migration;
	struct server_view source, target;
	const struct status
	    *status;    /* NULL: the target does not answer, or its ledger knows nothing */
	unsigned nruns; /* with status NULL: it is starting, and nothing is in the ledger yet */
	struct ledger_run *runs;

	double eta_seconds; /* of the chunks left, at the present rate */
	unsigned definitions, definitions_left;
	unsigned nbuilds;
	struct activity_build *builds;

	int64_t lag_bytes;
	double lag_seconds;
	const char *bottleneck; /* reader, apply, source; "" nothing is held up; NULL unknown */

	const char *slot_name;
	const struct slot_status *slot; /* NULL: unknown */

	unsigned nrequests;
	struct request_wait *requests;
};

struct onlooker {
	struct session names;
	struct pg_options source_options, target_options;
	struct pg *source, *target;
};

void onlooker_init(const struct migration *m, struct onlooker *o);
void onlooker_finish(struct onlooker *o);

/* Connects where it is not connected, and looks. */
struct overview *onlooker_look(struct onlooker *o, struct arena *a);

#endif
