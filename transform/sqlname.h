/*
 * transform/sqlname.h: names as people write them in the migration file.
 *
 * A name is written as in SQL: customer, Customer (folded to customer), "Odd Name"; a
 * table is two of them with a dot.
 */
#ifndef PGCROSSFADE_TRANSFORM_SQLNAME_H
#define PGCROSSFADE_TRANSFORM_SQLNAME_H

#include "core/arena.h"

/*
 * Splits text into exactly count parts, unquoted. NULL on success, otherwise what is
 * wrong, as a phrase: "an unquoted name cannot hold '-': ...".
 */
const char *sqlname_parse(struct arena *a, const char *text, unsigned count, const char **parts);

/* The one of names that word was most likely meant to be, or NULL. */
const char *nearest_name(const char *word, const char *const *names, unsigned count);

#endif
