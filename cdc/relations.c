#include "cdc/relations.h"

#include <stdlib.h>

struct relation_entry {
	uint64_t hash;
	const struct relation *relation;
};

static uint64_t hash_bytes(uint64_t h, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		h = (h ^ (uint8_t)b.data[i]) * 0x100000001b3U;
	return (h ^ b.len) * 0x100000001b3U;
}

static uint64_t shape_hash(const struct shape *s)
{
	uint64_t h = hash_bytes(0xcbf29ce484222325U, s->schema);

	h = hash_bytes(h, s->name);
	for (unsigned i = 0; i < s->ncolumns; i++)
		h = hash_bytes(h ^ s->columns[i].identity ^ (uint64_t)s->columns[i].type << 8,
			       s->columns[i].name);
	return h ^ h >> 32;
}

/* strncmp stops at the end of text, so that the byte after a match exists. */
static bool same_text(const char *text, struct bytes b)
{
	return strncmp(text, b.data, b.len) == 0 && text[b.len] == '\0' &&
	       !memchr(b.data, '\0', b.len);
}

static bool same_shape(const struct relation *rel, const struct shape *s)
{
	if (rel->ncolumns != s->ncolumns || !same_text(rel->schema, s->schema) ||
	    !same_text(rel->name, s->name))
		return false;
	for (unsigned i = 0; i < s->ncolumns; i++)
		if (rel->columns[i].identity != s->columns[i].identity ||
		    rel->columns[i].type != s->columns[i].type ||
		    !same_text(rel->columns[i].name, s->columns[i].name))
			return false;
	return true;
}

/* Where it is, or the free place where it would go. There is always a free place. */
static struct relation_entry *find(const struct relations *r, uint64_t hash, const struct shape *s)
{
	unsigned mask = r->size - 1;

	for (unsigned i = (unsigned)hash & mask;; i = (i + 1) & mask) {
		struct relation_entry *entry = &r->entries[i];
		if (!entry->relation || (entry->hash == hash && same_shape(entry->relation, s)))
			return entry;
	}
}

static void grow(struct relations *r)
{
	struct relation_entry *old = r->entries;
	unsigned size = r->size, mask = (size ? size * 2 : 64) - 1;

	r->entries = xcalloc((size_t)mask + 1, sizeof *r->entries);
	r->size = mask + 1;
	for (unsigned i = 0; i < size; i++) {
		if (!old[i].relation)
			continue;
		unsigned at = (unsigned)old[i].hash & mask;
		while (r->entries[at].relation)
			at = (at + 1) & mask;
		r->entries[at] = old[i];
	}
	free(old);
}

static bool check_names(const struct shape *s, struct err *e)
{
	bool nul = memchr(s->schema.data, '\0', s->schema.len) ||
		   memchr(s->name.data, '\0', s->name.len);

	for (unsigned i = 0; i < s->ncolumns && !nul; i++) {
		struct bytes name = s->columns[i].name;
		nul = memchr(name.data, '\0', name.len) != NULL;
		for (unsigned j = 0; j < i; j++)
			if (bytes_equal(name, s->columns[j].name))
				return err_set(e, ERR_INPUT, "table %.*s: column %.*s twice",
					       (int)s->name.len, s->name.data, (int)name.len,
					       name.data);
	}
	return nul ? err_set(e, ERR_INPUT, "a NUL byte in a name") : true;
}

static const struct relation *keep(struct arena *a, const struct shape *s)
{
	struct relation *rel = arena_zalloc(a, sizeof *rel);
	struct column *columns = arena_array(a, s->ncolumns, sizeof *columns);

	for (unsigned i = 0; i < s->ncolumns; i++) {
		struct bytes name = s->columns[i].name;
		columns[i].name = arena_strndup(a, name.data, name.len);
		columns[i].type = s->columns[i].type;
		columns[i].identity = s->columns[i].identity;
	}
	rel->schema = arena_strndup(a, s->schema.data, s->schema.len);
	rel->name = arena_strndup(a, s->name.data, s->name.len);
	rel->whole = s->whole;
	rel->ncolumns = s->ncolumns;
	rel->columns = columns;
	return rel;
}

void relations_finish(struct relations *r)
{
	arena_finish(&r->arena);
	free(r->entries);
	*r = (struct relations)RELATIONS_INIT;
}

const struct relation *relations_intern(struct relations *r, const struct shape *s, struct err *e)
{
	uint64_t hash = shape_hash(s);

	if (r->count * 2 >= r->size)
		grow(r);
	struct relation_entry *entry = find(r, hash, s);
	if (entry->relation)
		return entry->relation;
	if (s->ncolumns > COLUMNS_MAX) {
		err_set(e, ERR_INPUT, "a table of %u columns", s->ncolumns);
		return NULL;
	}
	if (!check_names(s, e))
		return NULL;
	*entry = (struct relation_entry){ hash, keep(&r->arena, s) };
	r->count++;
	return entry->relation;
}
