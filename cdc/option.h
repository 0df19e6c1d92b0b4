/*
 * cdc/option.h: the options of an output plugin as text, in either grammar.
 *
 * The replication grammar is not SQL's: a literal doubles ' and knows no E'' form, a
 * backslash is a plain character. With standard_conforming_strings, which every
 * connection pins, SQL reads such a literal the same.
 *
 * Ownership  the text is the caller's to free.
 */
#ifndef PGCROSSFADE_CDC_OPTION_H
#define PGCROSSFADE_CDC_OPTION_H

#include "core/buf.h"

enum option_form {
	OPTION_REPLICATION, /* "name" 'value', ... for START_REPLICATION */
	OPTION_SQL,         /* 'name', 'value', ... for an ARRAY[] */
};

struct option_list {
	enum option_form form;
	struct buf text;
};

void option_add(struct option_list *l, const char *name, const char *value);

#endif
