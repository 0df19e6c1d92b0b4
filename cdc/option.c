#include "cdc/option.h"

#include "pg/quote.h"

void option_add(struct buf *b, const char *name, const char *value)
{
	if (b->len && b->data[b->len - 1] != '(')
		buf_puts(b, ", ");
	buf_ident(b, name);
	buf_puts(b, " '");
	for (const char *s = value; *s; s++) {
		if (*s == '\'')
			buf_putc(b, '\'');
		buf_putc(b, *s);
	}
	buf_putc(b, '\'');
}
