#include "cdc/decoder.h"

static const struct decoder_ops *const decoders[] = { &pgoutput_decoder, &wal2json_decoder, NULL };

const struct decoder_ops *decoder_find(const char *plugin)
{
	const struct decoder_ops *const *d = decoders;

	while (*d && strcmp((*d)->plugin, plugin) != 0)
		d++;
	return *d;
}
