/*
 * transform/yaml.h: a YAML file as a tree of scalars, sequences and mappings with places.
 *
 * The plain part of YAML only: one document; no anchors, aliases or tags; no key twice
 * in a mapping; at most 1 MB, 64 kB a scalar and 16 levels. Whatever else is in the file
 * is one error "file:line:column: what; what to do".
 *
 * Ownership  everything lives in the arena.
 * Errors     ERR_CONFIG.
 * Units      lines and columns count from 1, columns in characters.
 */
#ifndef PGCROSSFADE_TRANSFORM_YAML_H
#define PGCROSSFADE_TRANSFORM_YAML_H

#include "core/arena.h"
#include "core/err.h"
#include "transform/place.h"

enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };

struct node {
	enum node_kind kind;
	struct place place;
	const char *text;       /* NODE_SCALAR */
	bool plain;             /* a scalar without quotes or block: may be a number */
	struct text_place lies; /* where the text itself lies */
	unsigned count;         /* items, or keys */
	struct node **items;    /* NODE_SEQUENCE; values of a NODE_MAPPING */
	struct node **keys;     /* NODE_MAPPING: scalars */
};

struct document {
	const char *file;
	struct arena *arena;
	struct node *root;
};

bool document_load(const char *path, struct arena *arena, struct document *out, struct err *e);

/* The value of that key, or NULL. */
const struct node *node_get(const struct node *mapping, const char *key);

/* "a mapping", "a list", "a text" */
const char *node_kind_name(enum node_kind kind);

#endif
