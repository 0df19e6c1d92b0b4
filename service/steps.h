/*
 * service/steps.h: what `run` does in each phase.
 *
 * A step does a little and returns within about a second, so that requests are answered
 * and signs of life written between steps. Every step can be entered again after a crash:
 * it looks at what is durable, never at what it remembers.
 */
#ifndef PGCROSSFADE_SERVICE_STEPS_H
#define PGCROSSFADE_SERVICE_STEPS_H

#include "cutover/phase.h"
#include "pg/flush.h"
#include "pg/heartbeat.h"
#include "pg/request.h"
#include "service/ending.h"
#include "service/errand.h"
#include "service/meter.h"
#include "service/pipeline.h"
#include "service/session.h"
#include "sink/again.h"
#include "sink/apply.h"
#include "snapshot/build.h"
#include "snapshot/copy.h"
#include "snapshot/opening.h"

#include <signal.h>

enum outcome {
	STEP_AGAIN,
	STEP_NEXT,   /* to the phase's next */
	STEP_BACK,   /* to the phase's back */
	STEP_END,    /* the migration is complete or gone: nothing is left to do */
	STEP_FAILED, /* err is set */
};

/* Of phase copy. */
struct copying {
	struct arena arena;
	struct generation generation; /* from prepare, or opened by the copy */
	struct opening *opening;      /* NULL: none is being opened */
	struct table_chunks *tables;
	struct copier *copier;
	struct builder *builder; /* once every chunk is copied */
};

/* Of phase cutover. */
struct cutting {
	int64_t request; /* whose outcome is awaited; 0: none */
	unsigned tries;
	int64_t next_try_ms;
	struct err why;       /* of the last try that failed */
	const char *accepted; /* targets that may be switched without their rejects; "" for none */
	bool gated;           /* preconditions seen to hold */
};

/* Of phase stream: rejects that are tried again, for a request or at the consistent point. */
struct retrying {
	bool active;
	int64_t request; /* 0: nobody asked */
	struct retry pass;
	unsigned in; /* in the passes before */
};

/* Once a second. */
struct beat {
	int64_t at_us;
	bool reads, streams; /* the old tables; there is a pipeline */
	struct pipeline_state state;
	struct heartbeat sign;
};

/* Of service/control.h. */
struct control {
	struct errands *errands; /* NULL: the run goes itself */
	unsigned due;            /* duties under way, by bit */
	int64_t next_beat_ms, next_poll_ms;
	struct beat beat;
	struct meter meter;
	struct arena arena;
	struct request *request; /* taken; NULL: there was none */
	struct flush flush;
};

/* Tries that failed one after the other; both count from when the run last worked. */
struct backoff {
	unsigned tries;
	int64_t since_ms; /* clock_ms() */
	bool told;        /* the ledger has it */
	bool worked;      /* a step went well since it came up */
	bool advanced;    /* something became durable since then, or just before */
};

struct run {
	const struct migration *migration;
	const volatile sig_atomic_t *stop;
	char host[256];   /* where this process runs */
	enum phase phase; /* run_advance() is its only writer */
	int64_t began_ms; /* clock_ms() */
	struct session session;
	bool locked;   /* this process is the migration's only run: session.target holds the lock */
	bool was_up;   /* it had taken the migration up once: it does not give up any more */
	lsn_t reached; /* of the stream, at the last beat, also before a lost connection */
	unsigned chunks; /* left to copy when they were last loaded */
	bool registered; /* the ledger has had the migration since this process runs */
	struct copying copying;
	struct pipeline *pipeline;
	struct again again; /* handed from one pipeline to the next */
	bool restored;      /* definitions are back */
	bool retried;       /* rejects were tried at the consistent point */
	bool lag_zero_told;
	bool stream_dropped; /* slot and publications are gone, after the switch */
	bool settled; /* foreign keys are as they were before the migration, after the switch */
	unsigned settle_tries;
	int64_t settle_at_ms;     /* not before that again */
	int64_t complete_request; /* whose outcome is awaited; 0: none */
	struct completing completing;
	struct cutting cutting;
	struct retrying retrying;
	struct backoff backoff;
	struct err fault; /* in one line: what this process had to come up again for, last */
	struct control control;
	lsn_t source_lsn; /* the source's insert position at the last beat */
};

enum outcome prepare_step(struct run *r, struct err *e);
enum outcome copy_step(struct run *r, struct err *e);
enum outcome stream_step(struct run *r, struct err *e);
enum outcome cutover_step(struct run *r, struct err *e);
enum outcome switched_step(struct run *r, struct err *e);

/* What the phase holds besides the session; NULLs and zeros are fine. */
void copying_close(struct copying *c);

/* Opens a generation, a while at a time: STEP_NEXT once there is one. slot counts only for the
 * first call; its strings are in the copying's arena. */
enum outcome copying_open(struct run *r, const struct generation_slot *slot, struct err *e);
void streaming_close(struct run *r);

/* The steps' shared piece: one batch, opening the pipeline first if need be. */
bool stream_once(struct run *r, int timeout_ms, struct err *e);

/* How long clients are left alone after so many tries to get a lock on their tables. */
int64_t backoff_for_lock(unsigned tries);

/*
 * Waits before the next try, longer each time. While its connection to the target lives, the
 * ledger has why, since when and until when, and signs of life go on.
 */
void back_off(struct run *r, const struct err *why);

/* It was up for so long. If it got on, or worked longer than it had waited, all begins anew. */
void backoff_was_up(struct run *r, int64_t ms);

/* A step went well: what the ledger has is over. */
bool backoff_end(struct run *r, struct err *e);

/* Brings back what is away of the target's indexes and constraints, past the consistent point.
 * Where rows may be put aside, foreign keys may have to wait for them. */
bool streaming_restore(struct run *r, struct err *e);

/* Past the switch: the after_cutover hook, then the answer to who asked for the cutover. */
bool cutover_tell(struct run *r, const char *text, struct err *e);

/* Tries some rejects again if that is asked for; answers the request at the end. */
bool retry_some(struct run *r, struct err *e);

/* Bytes of WAL between the source's insert position and the applied one, asked now. */
bool stream_lag(struct run *r, uint64_t *bytes, struct err *e);

#endif
