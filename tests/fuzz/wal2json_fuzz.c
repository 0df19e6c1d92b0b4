/* See decoder_fuzz.h. */
#include "decoder_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	feed_all(&wal2json_decoder, data, size);
	return 0;
}
