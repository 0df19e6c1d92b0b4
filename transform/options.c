#include "transform/options.h"

#include "transform/mapping.h"
#include "transform/sqlname.h"

#include <ctype.h>
#include <stdlib.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit byte_units[] = {
	{ "B", 1 }, { "kB", 1 << 10 }, { "MB", 1 << 20 }, { "GB", 1 << 30 }, { NULL, 0 },
};

static const struct unit time_units[] = {
	{ "ms", 1 },      { "s", 1000 },     { "min", 60000 },
	{ "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *units_of(enum option_kind kind)
{
	if (kind == OPTION_BYTES)
		return byte_units;
	return kind == OPTION_TIME ? time_units : no_units;
}

/* Digits and a unit, nothing else; 0 needs no unit. */
static bool parse_number(const char *text, enum option_kind kind, uint64_t *out)
{
	uint64_t n = 0;
	const char *s = text;

	for (; isdigit((unsigned char)*s) && s - text < 16; s++)
		n = n * 10 + (uint64_t)(*s - '0');
	if (s == text || isdigit((unsigned char)*s))
		return false;
	for (const struct unit *u = units_of(kind); u->name; u++) {
		if (strcmp(s, u->name) != 0 && !(n == 0 && *s == '\0'))
			continue;
		*out = n * u->factor;
		return n <= UINT64_MAX / u->factor;
	}
	return false;
}

static bool in_bounds(const struct option *o, uint64_t n)
{
	uint64_t min = 0, max = 0;

	return parse_number(o->min, o->kind, &min) && parse_number(o->max, o->kind, &max) &&
	       n >= min && n <= max;
}

static bool is_choice(const struct option *o, const char *text)
{
	size_t len = strlen(text);

	for (const char *s = o->min; s; s = strchr(s, '|')) {
		s += *s == '|';
		if (strncmp(s, text, len) == 0 && (s[len] == '|' || s[len] == '\0'))
			return len > 0;
	}
	return false;
}

/* A scalar's text into its field; false when it is not one the option takes. */
static bool put_scalar(const struct option *o, const char *text, void *field)
{
	uint64_t n = 0;

	switch (o->kind) {
	case OPTION_CHOICE:
		*(const char **)field = text;
		return is_choice(o, text);
	case OPTION_BOOL:
		*(bool *)field = strcmp(text, "true") == 0;
		return *(bool *)field || strcmp(text, "false") == 0;
	case OPTION_COUNT:
	case OPTION_BYTES:
		if (!parse_number(text, o->kind, &n) || !in_bounds(o, n))
			return false;
		*(uint64_t *)field = n;
		return true;
	case OPTION_TIME:
		if (!parse_number(text, o->kind, &n) || !in_bounds(o, n))
			return false;
		*(int64_t *)field = (int64_t)n;
		return true;
	default:
		*(const char **)field = text;
		return *text != '\0';
	}
}

static const char *wanted(const struct option *o, struct arena *a)
{
	switch (o->kind) {
	case OPTION_TEXT:
		return "a text";
	case OPTION_CHOICE:
		return o->min;
	case OPTION_BOOL:
		return "true or false";
	case OPTION_NAME:
		return "a name";
	case OPTION_NAMES:
		return "a list of names, as in [a, b]";
	case OPTION_TABLE:
		return "schema.name";
	case OPTION_BYTES:
		return arena_printf(a, "%s..%s (digits and B, kB, MB or GB)", o->min, o->max);
	case OPTION_TIME:
		return arena_printf(a, "%s..%s (digits and ms, s, min, h or d)", o->min, o->max);
	default:
		return arena_printf(a, "%s..%s", o->min, o->max);
	}
}

static bool read_names(const struct option *o, const struct document *doc, const struct node *n,
		       struct name_list *out, struct err *e)
{
	out->count = n->count;
	out->names = arena_array(doc->arena, n->count, sizeof *out->names);
	for (unsigned i = 0; i < n->count; i++) {
		const struct node *item = n->items[i];
		if (item->kind != NODE_SCALAR)
			return place_err(e, doc->file, item->place, "%s: want a name, got %s",
					 o->name, node_kind_name(item->kind));
		const char *problem = sqlname_parse(doc->arena, item->text, 1, &out->names[i]);
		if (problem)
			return place_err(e, doc->file, item->place, "%s: '%s': %s", o->name,
					 item->text, problem);
	}
	return true;
}

static bool read_name(const struct option *o, const struct document *doc, const struct node *n,
		      void *field, struct err *e)
{
	const char *parts[2] = { NULL, NULL };
	unsigned count = o->kind == OPTION_TABLE ? 2 : 1;
	const char *problem = sqlname_parse(doc->arena, n->text, count, parts);

	if (problem)
		return place_err(e, doc->file, n->place, "%s: '%s': %s", o->name, n->text, problem);
	if (o->kind == OPTION_TABLE)
		*(struct table_name *)field = (struct table_name){ parts[0], parts[1] };
	else
		*(const char **)field = parts[0];
	return true;
}

static bool read_option(const struct option *o, const struct document *doc, const struct node *n,
			void *into, struct err *e)
{
	void *field = (char *)into + o->field;

	if (o->place)
		*(struct place *)(void *)((char *)into + o->place) = n->place;
	if (o->kind == OPTION_NODE)
		return true;
	if (n->kind != (o->kind == OPTION_NAMES ? NODE_SEQUENCE : NODE_SCALAR))
		return place_err(e, doc->file, n->place, "%s: want %s, got %s", o->name,
				 wanted(o, doc->arena), node_kind_name(n->kind));
	if (o->kind == OPTION_NAMES)
		return read_names(o, doc, n, field, e);
	if (o->kind == OPTION_NAME || o->kind == OPTION_TABLE)
		return read_name(o, doc, n, field, e);
	if (!put_scalar(o, n->text, field))
		return place_err(e, doc->file, n->place, "%s: want %s, got '%s'", o->name,
				 wanted(o, doc->arena), n->text);
	return true;
}

static const struct option *option_find(const struct option_set *set, const char *name)
{
	for (unsigned i = 0; i < set->count; i++)
		if (strcmp(set->options[i].name, name) == 0)
			return &set->options[i];
	return NULL;
}

static bool unknown_key(const struct option_set *set, const struct document *doc,
			const struct node *key, struct err *e)
{
	const char **names = arena_array(doc->arena, set->count, sizeof *names);

	for (unsigned i = 0; i < set->count; i++)
		names[i] = set->options[i].name;
	const char *near = nearest_name(key->text, names, set->count);
	if (near)
		return place_err(e, doc->file, key->place,
				 "unknown key '%s'%s%s; did you mean '%s'?", key->text,
				 *set->name ? " in " : "", set->name, near);
	return place_err(e, doc->file, key->place, "unknown key '%s'%s%s; remove it", key->text,
			 *set->name ? " in " : "", set->name);
}

static bool check_required(const struct option_set *set, const struct document *doc,
			   const struct node *mapping, struct err *e)
{
	for (unsigned i = 0; i < set->count; i++)
		if (set->options[i].required && !node_get(mapping, set->options[i].name))
			return place_err(e, doc->file, mapping->place,
					 "key '%s'%s%s is missing; add it: %s",
					 set->options[i].name, *set->name ? " of " : "", set->name,
					 set->options[i].help);
	return true;
}

void option_set_fallbacks(const struct option_set *set, struct arena *arena, void *into)
{
	for (unsigned i = 0; i < set->count; i++) {
		const struct option *o = &set->options[i];
		if (o->fallback)
			put_scalar(o, arena_strdup(arena, o->fallback), (char *)into + o->field);
	}
}

bool option_set_read(const struct option_set *set, const struct document *doc,
		     const struct node *mapping, void *into, struct err *e)
{
	if (mapping->kind != NODE_MAPPING)
		return place_err(e, doc->file, mapping->place, "%s: want a mapping, got %s",
				 *set->name ? set->name : "the file",
				 node_kind_name(mapping->kind));
	option_set_fallbacks(set, doc->arena, into);
	for (unsigned i = 0; i < mapping->count; i++) {
		const struct node *key = mapping->keys[i];
		const struct option *o = option_find(set, key->text);
		if (!o)
			return unknown_key(set, doc, key, e);
		if (!read_option(o, doc, mapping->items[i], into, e))
			return false;
	}
	return check_required(set, doc, mapping, e);
}
