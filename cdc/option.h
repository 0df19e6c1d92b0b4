/*
 * cdc/option.h: the option list of START_REPLICATION as text.
 *
 * The replication grammar is not SQL's: a literal doubles ' and knows no E'' form, a
 * backslash is a plain character.
 */
#ifndef PGCROSSFADE_CDC_OPTION_H
#define PGCROSSFADE_CDC_OPTION_H

#include "core/buf.h"

/* Appends "name" 'value', after a comma unless b ends in an opening parenthesis. */
void option_add(struct buf *b, const char *name, const char *value);

#endif
