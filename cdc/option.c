#include "cdc/option.h"

#include "pg/quote.h"

static void put_literal(struct buf *b, const char *value)
{
	buf_putc(b, '\'');
	for (const char *s = value; *s; s++) {
		if (*s == '\'')
			buf_putc(b, '\'');
		buf_putc(b, *s);
	}
	buf_putc(b, '\'');
}

void option_add(struct option_list *l, const char *name, const char *value)
{
	struct buf *b = &l->text;

	buf_puts(b, b->len ? ", " : "");
	if (l->form == OPTION_REPLICATION) {
		buf_ident(b, name);
		buf_putc(b, ' ');
	} else {
		put_literal(b, name);
		buf_puts(b, ", ");
	}
	put_literal(b, value);
}
