#include "cdc/decoder.h"

static const struct decoder_ops *const decoders[] = { &pgoutput_decoder, &wal2json_decoder };

const struct decoder_ops *decoder_find(const char *plugin)
{
	for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
		if (strcmp(decoders[i]->plugin, plugin) == 0)
			return decoders[i];
	return NULL;
}
