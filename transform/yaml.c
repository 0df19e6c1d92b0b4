/*
 * The tree is built from libyaml's events, not from its document API: the latter resolves
 * aliases silently, and a migration file that means something else than it shows is no
 * help in a review.
 */
#include "transform/yaml.h"

#include "core/buf.h"

#include <errno.h>
#include <stdio.h>
#include <yaml.h>

enum { FILE_MAX = 1 << 20, SCALAR_MAX = 64 << 10, DEPTH_MAX = 16 };

struct load {
	yaml_parser_t parser;
	struct bytes source;
	const char *file;
	struct arena *arena;
};

static struct place mark_place(yaml_mark_t m)
{
	return (struct place){ (unsigned)m.line + 1, (unsigned)m.column + 1 };
}

const char *node_kind_name(enum node_kind kind)
{
	static const char *const names[] = { "a text", "a list", "a mapping" };

	return names[kind];
}

const struct node *node_get(const struct node *mapping, const char *key)
{
	for (unsigned i = 0; i < mapping->count; i++)
		if (strcmp(mapping->keys[i]->text, key) == 0)
			return mapping->items[i];
	return NULL;
}

static bool read_file(const char *path, struct buf *out, struct err *e)
{
	char block[8192];
	size_t n;
	FILE *f = fopen(path, "rbe");

	if (!f)
		return err_set(e, ERR_CONFIG, "%s: cannot be opened: %s; name the migration file",
			       path, strerror(errno));
	while ((n = fread(block, 1, sizeof block, f)) > 0 && out->len <= FILE_MAX)
		buf_add(out, block, n);
	bool bad = ferror(f) != 0;
	fclose(f);
	if (bad)
		return err_set(e, ERR_CONFIG, "%s: cannot be read; name the migration file", path);
	if (out->len > FILE_MAX)
		return err_set(e, ERR_CONFIG, "%s: larger than 1 MB; this is not a migration file",
			       path);
	return true;
}

/* libyaml gives a byte offset for bytes that are no text, a mark for all else. */
static struct place offset_place(struct bytes source, size_t offset)
{
	struct place p = { 1, 1 };

	for (size_t i = 0; i < offset && i < source.len; i++) {
		if (source.data[i] == '\n')
			p = (struct place){ p.line + 1, 1 };
		else if (((unsigned char)source.data[i] & 0xC0) != 0x80)
			p.column++;
	}
	return p;
}

static bool parser_err(struct load *l, struct err *e)
{
	const yaml_parser_t *p = &l->parser;
	const char *problem = p->problem ? p->problem : "unreadable";

	if (p->error == YAML_READER_ERROR)
		return place_err(e, l->file, offset_place(l->source, p->problem_offset),
				 "not UTF-8 text: %s; save the file as UTF-8", problem);
	return place_err(e, l->file, mark_place(p->problem_mark), "not valid YAML: %s%s%s; %s",
			 problem, p->context ? " " : "", p->context ? p->context : "",
			 "mind the indentation and the quotes");
}

static bool next_event(struct load *l, yaml_event_t *event, struct err *e)
{
	return yaml_parser_parse(&l->parser, event) ? true : parser_err(l, e);
}

/* The byte where line (from 0) starts. */
static const char *line_start(struct bytes source, size_t line)
{
	const char *s = source.data, *end = source.data + source.len;

	while (line > 0 && s < end) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		s = nl ? nl + 1 : end;
		line--;
	}
	return s;
}

/* A literal block's text starts on the line after its '|', behind its indentation. */
static struct text_place block_place(const struct load *l, const yaml_event_t *event)
{
	const char *s = line_start(l->source, event->start_mark.line + 1);
	const char *end = l->source.data + l->source.len;
	const char *text = (const char *)event->data.scalar.value;
	size_t lead = strspn(text, " \n"); /* blank lines and spaces that are text */
	unsigned indent = 0;

	for (size_t i = 0; i < lead; i++)
		if (text[i] == '\n')
			while (s < end && *s++ != '\n')
				;
	while (s < end && *s == ' ')
		indent++, s++;
	for (size_t i = lead; i > 0 && text[i - 1] == ' ' && indent > 0; i--)
		indent--;
	return (struct text_place){
		.first = { (unsigned)event->start_mark.line + 2, indent + 1 },
		.indent = indent,
		.block = true,
	};
}

static bool scalar_text(struct load *l, const yaml_event_t *event, struct node *n, struct err *e)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;

	if (len > SCALAR_MAX)
		return place_err(e, l->file, n->place, "a text of %zu bytes; the most is 64 kB",
				 len);
	if (memchr(text, '\0', len))
		return place_err(e, l->file, n->place, "the text holds a NUL character; remove it");
	n->text = arena_strndup(l->arena, text, len);
	n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE)
		n->lies = block_place(l, event);
	else
		n->lies = (struct text_place){ .first = n->place };
	return true;
}

static bool refuse_marks(struct load *l, const yaml_event_t *event, struct err *e)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (anchor || event->type == YAML_ALIAS_EVENT)
		return place_err(e, l->file, mark_place(event->start_mark),
				 "anchors and aliases are not taken; write the value out");
	if (tag)
		return place_err(e, l->file, mark_place(event->start_mark),
				 "tags are not taken; write the value without it");
	return true;
}

static bool read_node(struct load *l, const yaml_event_t *event, unsigned depth, struct node **out,
		      struct err *e);

/* The next node, or *out NULL at the end of the collection. */
static bool read_next(struct load *l, yaml_event_type_t stop, unsigned depth, struct node **out,
		      struct err *e)
{
	yaml_event_t event;

	*out = NULL;
	if (!next_event(l, &event, e))
		return false;
	bool ok = event.type == stop || read_node(l, &event, depth, out, e);
	yaml_event_delete(&event);
	return ok;
}

/* Doubles as it fills: room for the next of count. */
static struct node **grown(struct arena *a, struct node **list, unsigned count)
{
	if (count & (count - 1))
		return list;
	struct node **more = arena_array(a, count ? (size_t)count * 2 : 1, sizeof(void *));
	if (count)
		memcpy(more, list, count * sizeof(void *));
	return more;
}

static bool check_key(struct load *l, const struct node *mapping, const struct node *key,
		      struct err *e)
{
	if (key->kind != NODE_SCALAR)
		return place_err(e, l->file, key->place, "a key is %s; write a plain name",
				 node_kind_name(key->kind));
	for (unsigned i = 0; i < mapping->count; i++)
		if (strcmp(mapping->keys[i]->text, key->text) == 0)
			return place_err(e, l->file, key->place,
					 "key '%s' stands twice, first at line %u; remove one",
					 key->text, mapping->keys[i]->place.line);
	return true;
}

static bool read_sequence(struct load *l, struct node *n, unsigned depth, struct err *e)
{
	struct node *item;

	while (read_next(l, YAML_SEQUENCE_END_EVENT, depth, &item, e)) {
		if (!item)
			return true;
		n->items = grown(l->arena, n->items, n->count);
		n->items[n->count++] = item;
	}
	return false;
}

static bool read_mapping(struct load *l, struct node *n, unsigned depth, struct err *e)
{
	struct node *key, *value;

	while (read_next(l, YAML_MAPPING_END_EVENT, depth, &key, e)) {
		if (!key)
			return true;
		if (!check_key(l, n, key, e) || !read_next(l, YAML_NO_EVENT, depth, &value, e))
			return false;
		n->keys = grown(l->arena, n->keys, n->count);
		n->items = grown(l->arena, n->items, n->count);
		n->keys[n->count] = key;
		n->items[n->count++] = value;
	}
	return false;
}

static bool read_node(struct load *l, const yaml_event_t *event, unsigned depth, struct node **out,
		      struct err *e)
{
	struct node *n = arena_zalloc(l->arena, sizeof *n);

	*out = n;
	n->place = mark_place(event->start_mark);
	if (!refuse_marks(l, event, e))
		return false;
	if (depth >= DEPTH_MAX)
		return place_err(e, l->file, n->place,
				 "nested deeper than %d levels; this is not a migration file",
				 DEPTH_MAX);
	if (event->type == YAML_SCALAR_EVENT)
		return scalar_text(l, event, n, e);
	if (event->type == YAML_SEQUENCE_START_EVENT) {
		n->kind = NODE_SEQUENCE;
		return read_sequence(l, n, depth + 1, e);
	}
	n->kind = NODE_MAPPING;
	return read_mapping(l, n, depth + 1, e);
}

static bool skip_to(struct load *l, yaml_event_type_t want, struct err *e)
{
	yaml_event_t event;

	if (!next_event(l, &event, e))
		return false;
	bool ok = event.type == want;
	struct place at = mark_place(event.start_mark);
	yaml_event_delete(&event);
	if (!ok && want == YAML_DOCUMENT_START_EVENT)
		return place_err(e, l->file, at, "the file is empty; write a migration");
	if (!ok)
		return place_err(e, l->file, at,
				 "a second document starts here; a file is one migration");
	return true;
}

static bool read_document(struct load *l, struct node **root, struct err *e)
{
	return skip_to(l, YAML_STREAM_START_EVENT, e) && skip_to(l, YAML_DOCUMENT_START_EVENT, e) &&
	       read_next(l, YAML_NO_EVENT, 0, root, e) && skip_to(l, YAML_DOCUMENT_END_EVENT, e) &&
	       skip_to(l, YAML_STREAM_END_EVENT, e);
}

/* Some editors write a byte order mark, which is no part of the text. */
static struct bytes without_mark(struct bytes text)
{
	static const char mark[] = "\xef\xbb\xbf";
	size_t len = sizeof mark - 1;

	if (text.len < len || memcmp(text.data, mark, len) != 0)
		return text;
	return (struct bytes){ text.data + len, text.len - len };
}

bool document_load(const char *path, struct arena *arena, struct document *out, struct err *e)
{
	struct buf text = BUF_INIT;
	struct load l = { .file = path, .arena = arena };

	*out = (struct document){ .file = arena_strdup(arena, path), .arena = arena };
	bool ok = read_file(path, &text, e);
	if (ok) {
		l.source = without_mark(buf_bytes(&text));
		if (!yaml_parser_initialize(&l.parser))
			abort(); /* out of memory */
		yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&l.parser, (const yaml_char_t *)l.source.data,
					     l.source.len);
		ok = read_document(&l, &out->root, e);
		yaml_parser_delete(&l.parser);
	}
	buf_free(&text);
	return ok;
}
