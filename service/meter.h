/*
 * service/meter.h: how fast the stream goes, and what holds it up, over the last seconds.
 *
 *   source -> receiver -> queue -> applier -> target
 *     |          |                   |
 *     |          |                   "apply": there is work, and the target takes its time
 *     |          "reader": the server has more to send, the receiver is busy
 *     "source": the receiver waits for the server, which has more to send
 *
 * Pure: no clock, no connection.
 */
#ifndef PGCROSSFADE_SERVICE_METER_H
#define PGCROSSFADE_SERVICE_METER_H

#include "service/pipeline.h"

enum { METER_SAMPLES = 11 }; /* of about a second each */

struct meter_sample {
	int64_t at_us;
	struct effort effort;
	uint64_t queued_bytes; /* received, and not taken by the applier */
	uint64_t unsent_bytes; /* of WAL that the server has and did not send */
};

struct meter {
	struct meter_sample samples[METER_SAMPLES];
	unsigned count; /* the last one is the newest */
};

/* Figures that went back are those of another pipeline: it starts over. */
void meter_add(struct meter *m, const struct meter_sample *s);

/* Changes a second; 0 while there is one sample. */
double meter_rate(const struct meter *m);

/* reader, apply, source; "" when nothing is held up. */
const char *meter_bottleneck(const struct meter *m);

#endif
