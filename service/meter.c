#include "service/meter.h"

#include <string.h>

/* WAL that a stream always has before it: less is no sign of anything. */
enum { UNSENT_BYTES = 1 << 20 };

static const struct meter_sample *newest(const struct meter *m)
{
	return &m->samples[m->count - 1];
}

static bool went_back(const struct meter *m, const struct meter_sample *s)
{
	const struct effort *was = &newest(m)->effort;

	return s->effort.changes < was->changes || s->effort.applying_us < was->applying_us ||
	       s->effort.idle_us < was->idle_us || s->effort.starved_us < was->starved_us;
}

void meter_add(struct meter *m, const struct meter_sample *s)
{
	if (m->count && went_back(m, s))
		m->count = 0;
	if (m->count == METER_SAMPLES)
		memmove(m->samples, m->samples + 1, --m->count * sizeof *m->samples);
	m->samples[m->count++] = *s;
}

static double seconds(const struct meter *m)
{
	return m->count < 2 ? 0 : (double)(newest(m)->at_us - m->samples[0].at_us) / 1e6;
}

double meter_rate(const struct meter *m)
{
	double passed = seconds(m);

	return passed > 0
		   ? (double)(newest(m)->effort.changes - m->samples[0].effort.changes) / passed
		   : 0;
}

/* More than half of the time. */
static bool mostly(const struct meter *m, int64_t before, int64_t now)
{
	return (double)(now - before) / 1e6 > seconds(m) / 2;
}

const char *meter_bottleneck(const struct meter *m)
{
	if (seconds(m) <= 0)
		return "";
	const struct effort *was = &m->samples[0].effort, *is = &newest(m)->effort;
	bool more = newest(m)->unsent_bytes > UNSENT_BYTES;

	if (mostly(m, was->applying_us, is->applying_us) && (newest(m)->queued_bytes || more))
		return "apply";
	if (!more)
		return "";
	return mostly(m, was->starved_us, is->starved_us) ? "source" : "reader";
}
