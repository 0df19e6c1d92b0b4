#include "core/lsn.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

const char *lsn_format(lsn_t lsn, char text[LSN_TEXT])
{
	snprintf(text, LSN_TEXT, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
	return text;
}

/* One to eight hex digits; returns what follows them, NULL if none. */
static const char *hex_word(const char *s, uint32_t *out)
{
	uint32_t v = 0;
	int n = 0;

	for (; isxdigit((unsigned char)*s) && n < 8; s++, n++) {
		int c = tolower((unsigned char)*s);
		v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*out = v;
	return n ? s : NULL;
}

bool lsn_parse(const char *text, lsn_t *out)
{
	uint32_t high, low;
	const char *s = hex_word(text, &high);

	if (!s || *s++ != '/')
		return false;
	s = hex_word(s, &low);
	if (!s || *s)
		return false;
	*out = (lsn_t)high << 32 | low;
	return true;
}
