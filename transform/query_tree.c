#include "transform/query_tree.h"

#include <pg_query.h>
#include <stdint.h>

/* What the parser's recursion bears on a small stack, far above any real SELECT. */
enum { TOKENS_MAX = 4000, PARENTHESES_MAX = 100 };

static void *arena_take(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void arena_keep(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static ProtobufCAllocator arena_allocator(struct arena *a)
{
	return (ProtobufCAllocator){ arena_take, arena_keep, a };
}

/* Errors count characters from 1, nodes count bytes from 0. */
static size_t byte_of_character(const char *text, int position)
{
	size_t at = 0;

	for (int left = position - 1; left > 0 && text[at]; left--) {
		at++;
		while (((unsigned char)text[at] & 0xC0) == 0x80)
			at++;
	}
	return at;
}

static bool parse_fault(struct arena *a, const char *text, const PgQueryError *error,
			struct query_fault *fault)
{
	fault->at = byte_of_character(text, error->cursorpos);
	fault->text = arena_printf(a, "%s; correct the SELECT", error->message);
	return false;
}

static bool token_sizes(const PgQuery__ScanResult *scan, struct query_fault *fault)
{
	unsigned depth = 0, deepest = 0;

	for (size_t i = 0; i < scan->n_tokens; i++) {
		if (scan->tokens[i]->token == PG_QUERY__TOKEN__ASCII_40)
			depth++;
		else if (scan->tokens[i]->token == PG_QUERY__TOKEN__ASCII_41 && depth)
			depth--;
		deepest = depth > deepest ? depth : deepest;
	}
	fault->at = 0;
	fault->text = scan->n_tokens > TOKENS_MAX
			  ? "the SELECT has more than 4000 words; make it shorter"
			  : "the SELECT nests more than 100 parentheses; make it flatter";
	return scan->n_tokens <= TOKENS_MAX && deepest <= PARENTHESES_MAX;
}

/* The scanner does not recurse: it bounds what the parser will be given. */
static bool bounded(struct arena *a, const char *text, struct query_fault *fault)
{
	ProtobufCAllocator allocator = arena_allocator(a);
	PgQueryScanResult r = pg_query_scan(text);
	bool ok;

	if (r.error) {
		ok = parse_fault(a, text, r.error, fault);
	} else {
		const PgQuery__ScanResult *scan = pg_query__scan_result__unpack(
		    &allocator, r.pbuf.len, (const uint8_t *)r.pbuf.data);
		ok = token_sizes(scan, fault);
	}
	pg_query_free_scan_result(r);
	return ok;
}

bool tree_parse(struct arena *a, const char *text, PgQuery__ParseResult **out,
		struct query_fault *fault)
{
	ProtobufCAllocator allocator = arena_allocator(a);

	if (!bounded(a, text, fault))
		return false;
	PgQueryProtobufParseResult r = pg_query_parse_protobuf(text);
	bool ok = !r.error || parse_fault(a, text, r.error, fault);
	if (ok)
		*out = pg_query__parse_result__unpack(&allocator, r.parse_tree.len,
						      (const uint8_t *)r.parse_tree.data);
	pg_query_free_protobuf_parse_result(r);
	return ok;
}

/* Locations and the way a call was spelled do not change what a tree means. */
static bool strip(const ProtobufCMessage *m, void *context)
{
	static const char *const fields[] = { "location", "funcformat" };

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const ProtobufCFieldDescriptor *f =
		    protobuf_c_message_descriptor_get_field_by_name(m->descriptor, fields[i]);
		if (f)
			*(int32_t *)(void *)((char *)(uintptr_t)m + f->offset) = 0;
	}
	(void)context;
	return true;
}

static struct bytes packed(struct arena *a, const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *data = arena_alloc(a, len);

	protobuf_c_message_pack(m, data);
	return (struct bytes){ (const char *)data, len };
}

static struct bytes meaning(struct arena *a, const PgQuery__SelectStmt *select)
{
	ProtobufCAllocator allocator = arena_allocator(a);
	struct bytes b = packed(a, &select->base);
	PgQuery__SelectStmt *copy =
	    pg_query__select_stmt__unpack(&allocator, b.len, (const uint8_t *)b.data);

	tree_walk(&copy->base, strip, NULL);
	return packed(a, &copy->base);
}

static bool same_tree(struct arena *a, const char *text, const PgQuery__SelectStmt *select)
{
	PgQuery__ParseResult *again = NULL;
	struct query_fault fault;

	return tree_parse(a, text, &again, &fault) && again->n_stmts == 1 &&
	       again->stmts[0]->stmt->node_case == PG_QUERY__NODE__NODE_SELECT_STMT &&
	       bytes_equal(meaning(a, again->stmts[0]->stmt->select_stmt), meaning(a, select));
}

const char *tree_deparse(struct arena *a, PgQuery__SelectStmt *select)
{
	PgQuery__Node node = PG_QUERY__NODE__INIT;
	PgQuery__RawStmt raw = PG_QUERY__RAW_STMT__INIT;
	PgQuery__RawStmt *stmts[] = { &raw };
	PgQuery__ParseResult root = PG_QUERY__PARSE_RESULT__INIT;

	node.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
	node.select_stmt = select;
	raw.stmt = &node;
	root.version = PG_VERSION_NUM;
	root.n_stmts = 1;
	root.stmts = stmts;
	struct bytes b = packed(a, &root.base);
	PgQueryDeparseResult r = pg_query_deparse_protobuf(
	    (PgQueryProtobuf){ .len = b.len, .data = (char *)(uintptr_t)b.data });
	const char *text = r.error ? NULL : arena_strdup(a, r.query);
	pg_query_free_deparse_result(r);
	return text && same_tree(a, text, select) ? text : NULL;
}

static void walk_child(const ProtobufCMessage *m, tree_visit *visit, void *context)
{
	if (m && visit(m, context))
		tree_walk(m, visit, context);
}

/* protobuf-c describes every message: no list of node types to keep complete here. */
void tree_walk(const ProtobufCMessage *m, tree_visit *visit, void *context)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const char *field = (const char *)m + f->offset;
		const void *quantifier = (const char *)m + f->quantifier_offset;
		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			ProtobufCMessage *const *items =
			    *(ProtobufCMessage *const *const *)(const void *)field;
			for (size_t k = 0; k < *(const size_t *)quantifier; k++)
				walk_child(items[k], visit, context);
		} else if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
			   *(const uint32_t *)quantifier == f->id) {
			walk_child(*(ProtobufCMessage *const *)(const void *)field, visit, context);
		}
	}
}

static int32_t own_location(const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *f =
	    protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "location");

	return f ? *(const int32_t *)(const void *)((const char *)m + f->offset) : 0;
}

static bool least_location(const ProtobufCMessage *m, void *context)
{
	int32_t *least = context, own = own_location(m);

	if (own > 0 && (*least == 0 || own < *least))
		*least = own;
	return true;
}

size_t tree_location(const ProtobufCMessage *m)
{
	int32_t least = 0;

	least_location(m, &least);
	tree_walk(m, least_location, &least);
	return (size_t)least;
}

const char *tree_string(size_t count, PgQuery__Node *const *nodes, size_t i)
{
	if (i >= count || nodes[i]->node_case != PG_QUERY__NODE__NODE_STRING)
		return NULL;
	return nodes[i]->string->sval;
}
