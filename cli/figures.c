#include "cli/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *figure_bytes(struct arena *a, double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	unsigned u = 0;

	while (bytes >= 1024 && u < sizeof units / sizeof *units - 1) {
		bytes /= 1024;
		u++;
	}
	return arena_printf(a, u && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

const char *figure_count(struct arena *a, uint64_t count)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
	char *out = arena_zalloc(a, (size_t)len * 2), *at = out;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	return out;
}

const char *figure_seconds(struct arena *a, double seconds)
{
	long long s = (long long)seconds;

	if (seconds < 10)
		return arena_printf(a, "%.1f s", seconds);
	if (s < 60)
		return arena_printf(a, "%lld s", s);
	if (s < 3600)
		return arena_printf(a, "%lld min %lld s", s / 60, s % 60);
	if (s < 86400)
		return arena_printf(a, "%lld h %lld min", s / 3600, s % 3600 / 60);
	return arena_printf(a, "%lld d %lld h", s / 86400, s % 86400 / 3600);
}
