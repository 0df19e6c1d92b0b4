#include "pg/sqlstate.h"

#include <stddef.h>
#include <string.h>

/* The longest prefix that matches wins: write codes before their class. */
static const struct {
	const char *prefix;
	enum err_kind kind;
} kinds[] = {
	{ "40", ERR_RETRY },    /* serialization failure, deadlock */
	{ "08", ERR_RETRY },    /* connection */
	{ "53", ERR_RETRY },    /* out of disk, memory, connections */
	{ "55006", ERR_RETRY }, /* object in use: a slot's last walsender is still leaving */
	{ "55P03", ERR_RETRY }, /* lock not available */
	{ "57014", ERR_RETRY }, /* cancelled */
	{ "57P", ERR_RETRY },   /* shutdown, crash, starting up */
	{ "58", ERR_RETRY },    /* input or output error outside the server */
	{ "72", ERR_RETRY },    /* snapshot too old */
	{ "25P", ERR_RETRY },   /* a timeout ended the transaction */
	{ "21", ERR_DATA },     /* a second row for one key in one statement */
	{ "22", ERR_DATA },     /* a cast refused */
	{ "23", ERR_DATA },     /* a constraint refused */
	{ "44", ERR_DATA },     /* a view's check option refused */
	{ "54", ERR_DATA },     /* index row too large and the like */
	{ "P0", ERR_DATA },     /* a trigger's own exception */
	{ "XX", ERR_INPUT },    /* internal error, corrupted data */
};

enum err_kind sqlstate_kind(const char *sqlstate)
{
	if (!sqlstate || !*sqlstate)
		return ERR_RETRY;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strncmp(sqlstate, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return kinds[i].kind;
	return ERR_CONFIG;
}
