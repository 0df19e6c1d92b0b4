/*
 * probe SOURCE TARGET SECONDS PER_SECOND: from commit to visible, measured from outside.
 *
 * Commits rows into probe (id) at the source, one at a time. A trigger of the same table at the
 * target notifies channel probe with the row's id, which is delivered after the commit there:
 * then the row is visible. Prints n, and the 50th, 95th and 99th percentile and the most, in ms
 * from the source's answer to COMMIT until the notification. Fails when a row does not come.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { GRACE_S = 30 };

struct probe {
	PGconn *source, *target;
	int n, seen, room;
	double *committed, *took; /* by id; took < 0: not seen yet */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(PGconn *conn, int ok)
{
	if (ok)
		return;
	fprintf(stderr, "probe: %s", PQerrorMessage(conn));
	exit(1);
}

static void run(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);

	must(conn, PQresultStatus(res) == PGRES_COMMAND_OK);
	PQclear(res);
}

static void commit_one(struct probe *p)
{
	char id[16];
	const char *params[] = { id };

	snprintf(id, sizeof id, "%d", p->n);
	PGresult *res = PQexecPrepared(p->source, "insert", 1, params, NULL, NULL, 0);
	must(p->source, PQresultStatus(res) == PGRES_COMMAND_OK);
	PQclear(res);
	p->took[p->n] = -1;
	p->committed[p->n++] = now();
}

/* Waits until end for notifications, and takes what there is. */
static void listen_until(struct probe *p, double end)
{
	struct pollfd fd = { .fd = PQsocket(p->target), .events = POLLIN };
	double left = end - now();
	struct timespec wait = { 0, left > 0 ? (long)(left * 1e9) : 0 };
	PGnotify *note;

	ppoll(&fd, 1, &wait, NULL);
	double at = now();
	must(p->target, PQconsumeInput(p->target));
	while ((note = PQnotifies(p->target)) != NULL) {
		int id = atoi(note->extra);
		if (id >= 0 && id < p->n && p->took[id] < 0) {
			p->took[id] = at > p->committed[id] ? at - p->committed[id] : 0;
			p->seen++;
		}
		PQfreemem(note);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(const struct probe *p, double share)
{
	int i = (int)(share * p->n);

	return p->took[i < p->n ? i : p->n - 1] * 1000;
}

int main(int argc, char **argv)
{
	struct probe p = { 0 };

	if (argc != 5)
		return fprintf(stderr, "usage: probe SOURCE TARGET SECONDS PER_SECOND\n"), 2;
	double seconds = atof(argv[3]), every = 1 / atof(argv[4]);
	p.room = (int)(seconds / every) + 2;
	p.committed = calloc((size_t)p.room, sizeof *p.committed);
	p.took = calloc((size_t)p.room, sizeof *p.took);
	p.source = PQconnectdb(argv[1]);
	must(p.source, PQstatus(p.source) == CONNECTION_OK);
	p.target = PQconnectdb(argv[2]);
	must(p.target, PQstatus(p.target) == CONNECTION_OK);
	run(p.target, "LISTEN probe");
	PGresult *res =
	    PQprepare(p.source, "insert", "INSERT INTO probe VALUES ($1::int)", 0, NULL);
	must(p.source, PQresultStatus(res) == PGRES_COMMAND_OK);
	PQclear(res);

	double begin = now();
	for (double next = begin; now() - begin < seconds && p.n < p.room; next += every) {
		while (now() < next)
			listen_until(&p, next);
		commit_one(&p);
	}
	for (double end = now() + GRACE_S; p.seen < p.n && now() < end;)
		listen_until(&p, now() + 0.1);
	if (p.seen < p.n)
		return fprintf(stderr, "probe: %d of %d rows did not come\n", p.n - p.seen, p.n), 1;
	qsort(p.took, (size_t)p.n, sizeof *p.took, by_size);
	printf("%d %.2f %.2f %.2f %.2f\n", p.n, percentile(&p, .5), percentile(&p, .95),
	       percentile(&p, .99), percentile(&p, 1));
	return 0;
}
