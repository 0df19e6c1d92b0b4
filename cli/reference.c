#include "cli/command.h"

#include "transform/options.h"

#include <stdio.h>

static const char *const kind_names[] = {
	[OPTION_TEXT] = "text",          [OPTION_CHOICE] = "word",
	[OPTION_BOOL] = "true or false", [OPTION_COUNT] = "number",
	[OPTION_BYTES] = "size",         [OPTION_TIME] = "time",
	[OPTION_NAME] = "name",          [OPTION_NAMES] = "list of names",
	[OPTION_TABLE] = "schema.name",  [OPTION_NODE] = "mapping or list",
};

/* A bar parts the cells of a table, so that inside one it is written as a word. */
static void print_words(const char *words)
{
	for (; *words; words++)
		if (*words == '|')
			fputs(" or ", stdout);
		else
			putchar(*words);
}

static void print_option(const struct option *o)
{
	printf("| `%s` | %s | %s | ", o->name, kind_names[o->kind],
	       o->required   ? "required"
	       : o->fallback ? o->fallback
			     : "");
	if (o->min)
		print_words(o->min);
	if (o->max)
		printf(" to %s", o->max);
	printf(" | %s |\n", o->help);
}

void print_reference(void)
{
	unsigned count;
	const struct option_set *const *sets = migration_options(&count);

	for (unsigned i = 0; i < count; i++) {
		const struct option_set *s = sets[i];
		printf("%s### %s: %s\n\n| key | value | default | bounds | meaning |\n"
		       "|---|---|---|---|---|\n",
		       i ? "\n" : "", *s->name ? s->name : "top level", s->help);
		for (unsigned k = 0; k < s->count; k++)
			print_option(&s->options[k]);
	}
}
