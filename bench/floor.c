/*
 * floor SOURCE TARGET SLOT PUBLICATION [once]: the least that an applier outside the target's server
 * has to do.
 *
 * One thread reads the slot's stream (pgoutput) and sends each row as one prepared statement, each
 * transaction in one round trip, as soon as it is there; nothing is transformed, folded or known to be
 * durable. With `once` each transaction also writes its position into a row of the target, without which
 * an applier that was killed cannot know what it has applied. What that takes from commit to visible is a
 * lower bound for every client. For tables alike on both sides, and short values; runs until it is killed.
 * Source: PostgreSQL 15, "Logical Replication Message Formats".
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 16, SQL_BYTES = 4096 };

static PGconn *source, *target;
static int once;
static int64_t received;

static void must(PGconn *conn, int ok)
{
	if (ok)
		return;
	fprintf(stderr, "floor: %s", PQerrorMessage(conn));
	exit(1);
}

static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "floor: %s\n", what);
	exit(1);
}

static uint64_t take(const char **at, int bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | (unsigned char)*(*at)++;
	return value;
}

static const char *take_string(const char **at)
{
	const char *s = *at;

	*at += strlen(s) + 1;
	return s;
}

static void prepare(char kind, uint32_t oid, const char *sql)
{
	char name[32];

	snprintf(name, sizeof name, "%c%u", kind, oid);
	must(target, PQsendPrepare(target, name, sql, 0, NULL));
}

/* Once for each table: the server describes it again only when it has changed. */
static void relation(const char *at)
{
	char insert[SQL_BYTES], update[SQL_BYTES], where[SQL_BYTES] = "";
	int n = 0, k = 0, w = 0;
	uint32_t oid = (uint32_t)take(&at, 4);
	const char *schema = take_string(&at), *name = take_string(&at);

	at++; /* the replica identity */
	int ncolumns = (int)take(&at, 2);
	need(ncolumns <= COLUMNS, "too many columns");
	n += snprintf(insert, sizeof insert, "INSERT INTO %s.%s VALUES (", schema, name);
	k += snprintf(update, sizeof update, "UPDATE %s.%s SET ", schema, name);
	for (int i = 0; i < ncolumns; i++) {
		const char *comma = i ? ", " : "";
		int key = (int)take(&at, 1) & 1;
		const char *column = take_string(&at);
		at += 8;
		n += snprintf(insert + n, sizeof insert - (size_t)n, "%s$%d", comma, i + 1);
		k += snprintf(update + k, sizeof update - (size_t)k, "%s%s = $%d", comma, column,
			      i + 1);
		if (key)
			w += snprintf(where + w, sizeof where - (size_t)w, "%s%s = $%d",
				      w ? " AND " : " WHERE ", column, i + 1);
	}
	snprintf(insert + n, sizeof insert - (size_t)n, ")");
	snprintf(update + k, sizeof update - (size_t)k, "%s", where);
	prepare('I', oid, insert);
	if (w)
		prepare('U', oid, update);
}

/* Short values only: what pgbench writes. */
static void row(char kind, const char *at)
{
	const char *params[COLUMNS];
	char values[COLUMNS][128], name[32];
	uint32_t oid = (uint32_t)take(&at, 4);

	need(*at++ == 'N', "an old row");
	int n = (int)take(&at, 2);
	for (int i = 0; i < n; i++) {
		params[i] = NULL;
		if (*at++ != 't')
			continue;
		size_t length = take(&at, 4);
		need(length < sizeof values[i], "a long value");
		memcpy(values[i], at, length);
		values[i][length] = '\0';
		params[i] = values[i];
		at += length;
	}
	snprintf(name, sizeof name, "%c%u", kind, oid);
	must(target, PQsendQueryPrepared(target, name, n, params, NULL, NULL, 0));
}

static void execute(const char *name, int nparams, const char *const *params)
{
	must(target, PQsendQueryPrepared(target, name, nparams, params, NULL, NULL, 0));
}

static void begin(const char *at)
{
	char position[24];
	const char *params[] = { position };

	snprintf(position, sizeof position, "%" PRIu64, take(&at, 8));
	execute("begin", 0, NULL);
	if (once)
		execute("once", 1, params);
}

static void commit(void)
{
	execute("commit", 0, NULL);
	must(target, PQpipelineSync(target));
	must(target, PQflush(target) >= 0);
}

static void message(const char *at)
{
	switch (*at++) {
	case 'B':
		begin(at);
		break;
	case 'R':
		relation(at);
		break;
	case 'I':
		row('I', at);
		break;
	case 'U':
		row('U', at);
		break;
	case 'C':
		commit();
		break;
	default:
		break;
	}
}

static void reply(void)
{
	char status[34] = { 'r' };

	for (int field = 0; field < 3; field++)
		for (int i = 0; i < 8; i++)
			status[1 + field * 8 + i] = (char)(received >> (56 - 8 * i));
	must(source, PQputCopyData(source, status, sizeof status) == 1 && PQflush(source) == 0);
}

static void read_source(void)
{
	char *data;
	int length;

	must(source, PQconsumeInput(source));
	while ((length = PQgetCopyData(source, &data, 1)) > 0) {
		const char *at = data + 1;
		int64_t lsn = (int64_t)take(&at, 8);
		if (lsn > received)
			received = lsn;
		if (*data == 'w')
			message(data + 25);
		else if (data[17])
			reply();
		PQfreemem(data);
	}
	must(source, length == 0);
}

static void read_target(void)
{
	PGresult *res;

	must(target, PQconsumeInput(target));
	while (!PQisBusy(target)) {
		if (!(res = PQgetResult(target)) && !(res = PQgetResult(target)))
			return;
		ExecStatusType status = PQresultStatus(res);
		must(target, status == PGRES_COMMAND_OK || status == PGRES_PIPELINE_SYNC);
		PQclear(res);
	}
}

static void run(const char *sql)
{
	PGresult *res = PQexec(target, sql);

	must(target, PQresultStatus(res) == PGRES_COMMAND_OK);
	PQclear(res);
}

static void open_both(char **argv)
{
	char sql[SQL_BYTES], conninfo[SQL_BYTES];

	snprintf(conninfo, sizeof conninfo, "%s replication=database", argv[1]);
	source = PQconnectdb(conninfo);
	must(source, PQstatus(source) == CONNECTION_OK);
	snprintf(
	    sql, sizeof sql,
	    "START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names '%s')",
	    argv[3], argv[4]);
	must(source, PQresultStatus(PQexec(source, sql)) == PGRES_COPY_BOTH);
	target = PQconnectdb(argv[2]);
	must(target, PQstatus(target) == CONNECTION_OK);
	run("SET synchronous_commit = off");
	run("SET plan_cache_mode = force_generic_plan");
	if (once) {
		run("CREATE TABLE applied (id int PRIMARY KEY, position bigint)");
		run("INSERT INTO applied VALUES (1, 0)");
	}
	must(target, PQenterPipelineMode(target) && PQsetnonblocking(target, 1) == 0);
	must(target, PQsendPrepare(target, "begin", "BEGIN", 0, NULL));
	must(target, PQsendPrepare(target, "commit", "COMMIT", 0, NULL));
	must(target,
	     !once || PQsendPrepare(target, "once", "UPDATE applied SET position = $1 WHERE id = 1",
				    0, NULL));
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return fprintf(stderr, "usage: floor SOURCE TARGET SLOT PUBLICATION [once]\n"), 2;
	once = argc > 5;
	open_both(argv);
	struct pollfd fds[] = { { .fd = PQsocket(source), .events = POLLIN },
				{ .fd = PQsocket(target), .events = POLLIN } };
	for (;;) {
		fds[1].events = (short)(PQflush(target) ? POLLIN | POLLOUT : POLLIN);
		poll(fds, 2, 5000);
		read_source();
		read_target();
	}
}
