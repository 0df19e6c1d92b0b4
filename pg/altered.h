/*
 * pg/altered.h: are columns still what they were when they were last looked at?
 *
 * A column that was dropped and made again, that goes by another's name or that has another type
 * holds other values; so does one of an enum a value of which was renamed. That is what the lines
 * tell. ALTER COLUMN ... TYPE ... USING with the same type gives it other values, too, and leaves
 * nothing but traces: it writes the column's row in the catalog again, gives a default a new
 * number, and makes the table's file and its TOAST table anew. The stamps hold those.
 *
 *                                    column's row  default  file  TOAST table
 *   ALTER COLUMN ... TYPE              new           new     new    new
 *   the same, varchar made longer      new           new     -      -
 *   SET STATISTICS, SET NOT NULL, ...  new           -       -      -
 *   SET DEFAULT                        new or -      new     -      -
 *   VACUUM FULL, CLUSTER, TRUNCATE     1             -       new    -
 *   ALTER TABLE that rewrites it       1             -       new    new
 *     for another column
 *
 *   1  written once, where ADD COLUMN ... DEFAULT had left the table as it was
 *
 * So a column is said to be rewritten where all that it has is new between two looks; what has no
 * default and no TOAST table cannot vouch for it. Of a partitioned table one partition does: the
 * type is the parent's to alter, for all of them.
 *
 * A table or partition that was renamed has had its row type written again, also where it has its
 * old name since. That is a stamp of its own where the stream tells tables by name. OWNER TO writes
 * it as well, and is told by the owner.
 */
#ifndef PGCROSSFADE_PG_ALTERED_H
#define PGCROSSFADE_PG_ALTERED_H

#include "pg/ledger.h"

/* Parallel arrays, as text: tables, quoted and qualified, and one column of each. */
struct altered_columns {
	const char *tables, *names;
	bool by_name; /* the stream knows tables by name */
};

struct altered {
	struct ledger_columns now;
	const char *lost;      /* a line that was, and is not any more; "": none */
	const char *rewritten; /* column ... of ...; "": none */
	const char *renamed;   /* a table or partition; "": none */
};

/* was: of the last look; NULLs: not known. Waits for nobody's lock. */
bool altered_look(struct pg *source, const struct altered_columns *columns,
		  const struct ledger_columns *was, struct arena *a, struct altered *out,
		  struct err *e);

#endif
