/*
 * transform/options.h: the keys of the migration file as tables.
 *
 * One row is one key: it is read, checked against its bounds, explained and documented
 * from here.
 *
 * Ownership  the tables are static; what is read lives in the document's arena.
 * Errors     ERR_CONFIG "file:line:column: key: want ..., got ...".
 */
#ifndef PGCROSSFADE_TRANSFORM_OPTIONS_H
#define PGCROSSFADE_TRANSFORM_OPTIONS_H

#include "transform/yaml.h"

enum option_kind {
	OPTION_TEXT,   /* const char * */
	OPTION_CHOICE, /* const char *; one of the words in min, parted by | */
	OPTION_BOOL,   /* bool */
	OPTION_COUNT,  /* uint64_t */
	OPTION_BYTES,  /* uint64_t; written with B, kB, MB, GB (of 1024) */
	OPTION_TIME,   /* int64_t in ms; written with ms, s, min, h, d */
	OPTION_NAME,   /* const char *; one SQL name */
	OPTION_NAMES,  /* struct name_list; a list of SQL names */
	OPTION_TABLE,  /* struct table_name; schema.name */
	OPTION_NODE,   /* a mapping or list with a table of its own: not read here */
};

struct option {
	const char *name;
	enum option_kind kind;
	bool required;
	const char *fallback; /* as one would write it; NULL: empty */
	const char *min, *max;
	const char *help;
	size_t field; /* offset in the struct that the set fills */
	size_t place; /* offset of a struct place, 0: nobody asks */
};

struct option_set {
	const char *name; /* path in the file: "" for the top, "cutover", "switch.rename", ... */
	const char *help;
	unsigned count;
	const struct option *options;
};

/* Reads the keys of mapping into the struct at into; absent ones get their fallback. */
bool option_set_read(const struct option_set *set, const struct document *doc,
		     const struct node *mapping, void *into, struct err *e);

/* Only the fallbacks, where the mapping itself is absent. */
void option_set_fallbacks(const struct option_set *set, struct arena *arena, void *into);

/* Every set of the migration file, top first. */
const struct option_set *const *migration_options(unsigned *count);

#endif
