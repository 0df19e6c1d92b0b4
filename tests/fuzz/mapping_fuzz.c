/*
 * The migration file, and each flow's SELECT through PostgreSQL's parser.
 *
 * Input      a migration file.
 * Looks for  what the sanitizers see, and broken promises: a refusal has a kind and a text.
 */
#include "transform/mapping.h"
#include "transform/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const columns[] = { "id", "name", "note", "tags", "Odd Col" };

enum { NCOLUMNS = sizeof columns / sizeof *columns };

static void promise(bool kept)
{
	if (!kept)
		abort();
}

/* Each output by itself, as an update with an unchanged value takes them. */
static void narrow(struct arena *a, const struct query *q)
{
	for (unsigned i = 0; i < q->noutputs; i++) {
		struct query_reads reads;
		const char *text = query_narrow(a, q, 1, &i, true, &reads);
		promise(!text || *text);
	}
}

static void read_select(const char *text)
{
	struct arena a = ARENA_INIT;
	struct query_fault fault = { 0 };
	struct query *q;

	if (query_parse(&a, text, &q, &fault) && query_resolve(&a, q, NCOLUMNS, columns, &fault))
		narrow(&a, q);
	else
		promise(fault.text && *fault.text && fault.at <= strlen(text));
	arena_finish(&a);
}

static void read_file(const char *path)
{
	struct migration *m = NULL;
	struct err e = ERR_INIT;

	if (!migration_load(path, &m, &e)) {
		promise(!m && e.kind == ERR_CONFIG && e.text[0]);
		return;
	}
	promise(m->nflows > 0);
	for (unsigned i = 0; i < m->nflows; i++)
		read_select(m->flows[i].select);
	migration_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[32];
	int fd = memfd_create("mapping", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	read_file(path);
	close(fd);
	return 0;
}
