#include "cutover/phase.h"

#include <string.h>

static const char *const names[PH_COUNT] = {
	[PH_PREPARE] = "prepare", [PH_COPY] = "copy",         [PH_STREAM] = "stream",
	[PH_CUTOVER] = "cutover", [PH_SWITCHED] = "switched", [PH_COMPLETE] = "complete",
};

const char *phase_name(enum phase p)
{
	return names[p];
}

bool phase_parse(const char *name, enum phase *out)
{
	for (unsigned i = 0; i < PH_COUNT; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		*out = (enum phase)i;
		return true;
	}
	return false;
}

bool phase_before_switch(enum phase p)
{
	return p < PH_CUTOVER;
}
