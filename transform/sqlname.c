#include "transform/sqlname.h"

#include "core/buf.h"

#include <ctype.h>
#include <stdint.h>

enum { NAME_MAX_BYTES = 63, WORD_MAX = 64 };

static bool plain_character(unsigned char c, bool first)
{
	return c >= 0x80 || c == '_' || isalpha(c) || (!first && (isdigit(c) || c == '$'));
}

/* "Odd ""Name""" up to its closing quote; NULL without one. */
static const char *quoted_part(const char *s, struct buf *out)
{
	for (s++; *s; s++) {
		if (*s == '"' && s[1] != '"')
			return s + 1;
		if (*s == '"')
			s++;
		buf_putc(out, *s);
	}
	return NULL;
}

static const char *plain_part(const char *s, bool fold, struct buf *out)
{
	for (; plain_character((unsigned char)*s, out->len == 0); s++)
		buf_putc(out, (char)(fold && (unsigned char)*s < 0x80 ? tolower(*s) : *s));
	return s;
}

static const char *part_problem(struct arena *a, const char *rest, const struct buf *part)
{
	if (!rest)
		return "a quote is not closed";
	if (part->len == 0 && (*rest == '\0' || *rest == '.'))
		return "a part of the name is empty";
	if (*rest != '\0' && *rest != '.')
		return arena_printf(a, "a name with '%c' in it must be quoted as in SQL", *rest);
	if (part->len > NAME_MAX_BYTES)
		return "a name is longer than 63 bytes";
	return NULL;
}

const char *sqlname_parse(struct arena *a, const char *text, unsigned count, const char **parts)
{
	const char *problem = NULL, *rest = text;
	unsigned found = 0;

	while (!problem) {
		struct buf part = BUF_INIT;
		rest = *rest == '"' ? quoted_part(rest, &part) : plain_part(rest, count > 1, &part);
		problem = part_problem(a, rest, &part);
		if (!problem && found < count)
			parts[found] = arena_strndup(a, buf_str(&part), part.len);
		buf_free(&part);
		found++;
		if (problem || *rest == '\0')
			break;
		rest++;
	}
	if (!problem && found != count)
		problem = count == 1 ? "one name without a dot is wanted"
				     : "schema.name is wanted: the schema must be named";
	return problem;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits between two words, case aside. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return UINT32_MAX;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned corner = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			bool same = tolower((unsigned char)a[i - 1]) ==
				    tolower((unsigned char)b[j - 1]);
			unsigned next = least(row[j] + 1, row[j - 1] + 1, corner + !same);
			corner = row[j];
			row[j] = next;
		}
	}
	return row[lb];
}

const char *nearest_name(const char *word, const char *const *names, unsigned count)
{
	unsigned best = (unsigned)strlen(word) / 3 + 2;
	const char *found = NULL;

	for (unsigned i = 0; i < count; i++) {
		unsigned d = distance(word, names[i]);
		if (d < best && d < strlen(names[i])) {
			best = d;
			found = names[i];
		}
	}
	return found;
}
