/* pgcrossfade(1) in mdoc, from the tables of commands, options, exit codes and file keys. */
#include "cli/command.h"

#include "transform/options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 78 };

/* One word: a dot or quote in front would make it a request, a backslash begins an escape. */
static void put_word(const char *word, size_t len, bool first)
{
	if (first && (*word == '.' || *word == '\''))
		fputs("\\&", stdout);
	for (size_t i = 0; i < len; i++)
		if (word[i] == '\\')
			fputs("\\e", stdout);
		else
			putchar(word[i]);
}

/* Text as roff likes it: short lines, and a new one for each sentence. */
static void put_text(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " \n");
		if (column && column + 1 + len > LINE) {
			putchar('\n');
			column = 0;
		} else if (column) {
			putchar(' ');
			column++;
		}
		put_word(text, len, column == 0);
		column += len;
		if (len && text[len - 1] == '.')
			column = LINE;
		text += len;
		text += strspn(text, " \n");
	}
	putchar('\n');
}

static void put_head(void)
{
	puts(".\\\" Made by: pgcrossfade help man\n"
	     ".Dd November 22, 2026\n"
	     ".Dt PGCROSSFADE 1\n"
	     ".Os\n"
	     ".Sh NAME\n"
	     ".Nm pgcrossfade\n"
	     ".Nd move live PostgreSQL tables to a new schema without downtime\n"
	     ".Sh SYNOPSIS");
}

/* Name, value: Fl -timeout Ar SECONDS */
static void put_option(const struct argument_def *d)
{
	printf("Fl -%s%s%s\n", d->name, d->value ? " Ar " : "", d->value ? d->value : "");
}

static void put_synopsis(const struct command *c)
{
	printf(".Nm\n.Cm %s\n.Ar FILE\n", c->name);
	for (const struct argument_def *d = argument_defs; d->name; d++)
		if (c->takes & d->which) {
			fputs(d->required ? "." : ".Op ", stdout);
			put_option(d);
		}
}

static void put_description(void)
{
	puts(".Nm\n.Cm help file | man\n"
	     ".Sh DESCRIPTION\n"
	     ".Nm\n"
	     "copies old tables to new ones, follows their changes through logical\n"
	     "decoding, writes them transformed, and keeps doing so until nothing is left to\n"
	     "apply.\n"
	     "Then it switches: writes wait for a moment, the old tables are frozen, the new\n"
	     "ones have everything.\n"
	     ".Pp\n"
	     "A migration is one\n"
	     ".Ar FILE ,\n"
	     "in YAML: see\n"
	     ".Sx MIGRATION FILE .\n"
	     "Its transformation is an SQL SELECT over the relation\n"
	     ".Ql old ,\n"
	     "the changed row.\n"
	     ".Cm run\n"
	     "is the service and does the work; the other commands work from any host that\n"
	     "reaches both servers.\n"
	     ".Sh COMMANDS\n"
	     ".Bl -tag -width Ds");
}

/* The table's help begins in lower case and has no full stop. */
static void put_help(const char *help)
{
	struct arena scratch = ARENA_INIT;
	char *sentence = arena_printf(&scratch, "%s.", help);

	*sentence = (char)toupper((unsigned char)*sentence);
	put_text(sentence);
	arena_finish(&scratch);
}

static void put_command(const struct command *c)
{
	printf(".It Cm %s Ar FILE\n", c->name);
	put_help(c->help);
	put_text(c->manual);
	if (!c->takes)
		return;
	puts(".Bl -tag -width Ds");
	for (const struct argument_def *d = argument_defs; d->name; d++)
		if (c->takes & d->which) {
			fputs(".It ", stdout);
			put_option(d);
			put_text(d->help);
		}
	puts(".El");
}

static void put_keys(const struct option_set *s)
{
	printf(".Ss %s\n", *s->name ? s->name : "top level");
	put_help(s->help);
	puts(".Bl -tag -width Ds");
	for (unsigned k = 0; k < s->count; k++) {
		const struct option *o = &s->options[k];
		printf(".It Cm %s\n", o->name);
		put_help(o->help);
		if (o->required)
			puts("Required.");
		else if (o->fallback && *o->fallback)
			printf("Default %s.\n", o->fallback);
	}
	puts(".El");
}

static void put_file(void)
{
	unsigned count;
	const struct option_set *const *sets = migration_options(&count);

	puts(".El\n.Sh MIGRATION FILE\n"
	     "YAML, read strictly: an unknown key, a wrong type or a duplicate is an error\n"
	     "with file, line and column.");
	for (unsigned i = 0; i < count; i++)
		put_keys(sets[i]);
}

static void put_exit_status(void)
{
	puts(".Sh EXIT STATUS\n.Bl -tag -width Ds");
	for (const struct exit_def *d = exit_defs; d->means; d++) {
		printf(".It %d\n", d->code);
		put_help(d->means);
	}
	puts(".El");
}

static void put_surroundings(void)
{
	puts(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
	     ".It Ev PGPASSFILE , PGPASSWORD , PGSERVICEFILE , PGSSLMODE\n"
	     "These and the others of libpq; a password must not be in the migration file.\n"
	     ".It Ev PGCROSSFADE_MIGRATION , PGCROSSFADE_EVENT\n"
	     "Set for the commands of hooks: the migration's name, and what happened.\n"
	     ".El\n"
	     ".Sh FILES\n.Bl -tag -width Ds\n"
	     ".It Ar FILE\n"
	     "The migration file.\n"
	     "It is only read: all state is in schema\n"
	     ".Ql pgcrossfade\n"
	     "of the target database.\n"
	     ".It Pa ~/.pgpass , ~/.pg_service.conf\n"
	     "Passwords and services, as libpq reads them.\n"
	     ".El");
}

static void put_examples(void)
{
	puts(".Sh EXAMPLES\n"
	     "See what is wrong before anything is made, then copy, follow and switch:\n"
	     ".Bd -literal -offset indent\n"
	     "pgcrossfade check customer.yaml\n"
	     "pgcrossfade run customer.yaml 2>run.log &\n"
	     "pgcrossfade wait customer.yaml --for lag-zero\n"
	     "pgcrossfade cutover customer.yaml --timeout 60\n"
	     "pgcrossfade complete customer.yaml\n"
	     ".Ed\n"
	     ".Pp\n"
	     "The migration file:\n"
	     ".Bd -literal -offset indent\n"
	     "migration: customer-names\n"
	     "source: service=shop\n"
	     "target: service=shop_v2\n"
	     "flows:\n"
	     "  - from: public.customer\n"
	     "    to: app.customer\n"
	     "    key: [customer_id]\n"
	     "    select: |\n"
	     "      SELECT id::bigint AS customer_id,\n"
	     "             split_part(full_name, ' ', 1) AS first_name\n"
	     "      FROM old\n"
	     ".Ed\n"
	     ".Sh SEE ALSO\n"
	     ".Xr pg_dump 1 ,\n"
	     ".Xr psql 1");
}

void print_manual(void)
{
	put_head();
	for (const struct command *c = commands; c->name; c++)
		put_synopsis(c);
	put_description();
	for (const struct command *c = commands; c->name; c++)
		put_command(c);
	put_file();
	put_surroundings();
	put_exit_status();
	put_examples();
}
