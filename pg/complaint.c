#include "pg/complaint.h"

#include <string.h>

static bool one_of(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; text && i < count; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

/*
 * "Failing row contains (...)". Others that use these codes: no partition takes the row, which
 * tells its partition key; and PL/pgSQL's RAISE, whose words are the user's own.
 */
static bool detail_is_row(const PGresult *res)
{
	static const char *const states[] = { "23502", "23514", "44000" };
	static const char *const others[] = { "ExecFindPartition", "exec_stmt_raise" };
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *said_by = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	return one_of(state, states, sizeof states / sizeof *states) &&
	       !one_of(said_by, others, sizeof others / sizeof *others);
}

static void put(struct buf *text, const char *before, const char *what, size_t len)
{
	if (!len)
		return;
	buf_puts(text, before);
	buf_add(text, what, len);
}

/*
 * "COPY a, line 3, column n: ..." comes last, and a value may go over several lines. In a language
 * that writes it in another way nothing of the context is known to be no row.
 */
static size_t context_without_row(const char *context)
{
	static const char copy[] = "COPY ";
	const char *line = context;

	while (strncmp(line, copy, sizeof copy - 1) != 0) {
		line = strchr(line, '\n');
		if (!line)
			return 0;
		line++;
	}
	const char *value = strstr(line, ": ");
	return value ? (size_t)(value - context) : strlen(context);
}

void complaint_put(const PGresult *res, bool copying, struct buf *text)
{
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);

	buf_puts(text, primary ? primary : PQresultErrorMessage(res));
	if (detail && !detail_is_row(res))
		put(text, "; ", detail, strlen(detail));
	if (hint)
		put(text, "; hint: ", hint, strlen(hint));
	if (context)
		put(text, "; ", context, copying ? context_without_row(context) : strlen(context));
}
