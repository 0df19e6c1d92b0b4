/*
 * transform/mapping.h: the migration file, read and checked for itself (no catalog).
 *
 * Strict: an unknown key, a wrong type, a duplicate or a missing key is one error
 * "file:line:column: what; why or what to do", and nothing is half read.
 *
 * Ownership  migration_load makes, migration_destroy ends; all strings live in it.
 * Errors     ERR_CONFIG.
 * Units      sizes in bytes, times in ms.
 */
#ifndef PGCROSSFADE_TRANSFORM_MAPPING_H
#define PGCROSSFADE_TRANSFORM_MAPPING_H

#include "core/arena.h"
#include "core/err.h"
#include "transform/place.h"

#include <stdint.h>

struct name_list {
	unsigned count;
	const char **names;
};

struct table_name {
	const char *schema, *name;
};

struct flow_def {
	struct place place; /* of the flow's first key */
	struct table_name from, to;
	struct place from_place, to_place;
	struct name_list key; /* empty: the target has no key */
	struct place key_place;
	struct name_list owner; /* columns that identify the old row; empty: one row of one */
	struct place owner_place;
	const char *select;
	struct text_place select_lies; /* place of select[i]: text_place_of() */
	bool insert_only;              /* the old table takes no UPDATE or DELETE */
	bool only;                     /* rows of inheritance children are not the table's */
};

struct rename_def {
	struct table_name table, to;
	struct place place;
};

struct search_path_def {
	const char *role;
	struct name_list path;
	struct place place;
};

/* What the switch does besides the freeze. All empty: nothing. */
struct switch_def {
	unsigned nrenames;
	struct rename_def *renames; /* in order; one database only */
	unsigned nsearch_paths;
	struct search_path_def *search_paths;
	const char *source_sql, *target_sql; /* NULL: none */
	struct place source_sql_place, target_sql_place;
};

enum hook { HOOK_LAG_ZERO, HOOK_BEFORE_CUTOVER, HOOK_AFTER_CUTOVER, HOOK_ERROR, HOOK_COUNT };

struct cutover_def {
	uint64_t max_lag;
	int64_t lock_timeout, max_pause;
	uint64_t tries, sequence_headroom;
};

struct migration {
	struct arena arena;
	const char *file;
	const char *name;
	const char *source, *target; /* conninfo without password */
	const char *decoder;
	const char *synchronous_commit; /* of the stream's transactions: on, off */
	struct name_list search_path;   /* after pg_catalog */
	uint64_t jobs, chunk_bytes, memory, rejects;
	int64_t snapshot_max_age;
	struct cutover_def cutover;
	struct switch_def switch_to;
	const char *hooks[HOOK_COUNT]; /* shell commands; NULL: none */
	unsigned nflows;
	struct flow_def *flows;
};

/* The file's own checks: keys, types, bounds, names. The SELECTs are compile.h's. */
bool migration_load(const char *path, struct migration **out, struct err *e);
void migration_destroy(struct migration *m); /* NULL is fine */

#endif
