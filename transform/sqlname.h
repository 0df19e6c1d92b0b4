/*
 * transform/sqlname.h: names as people write them in the migration file.
 *
 * A table is schema.name as in SQL: Public.Customer is public.customer, quotes keep a part
 * as it is. A name that stands alone is taken as written; it needs quotes only where SQL
 * would not take its characters without.
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
