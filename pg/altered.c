#include "pg/altered.h"

/*
 * $1, $2: tables and columns; $3, $4: lines and stamps that were; $5: tables are known by name. A
 * stamp (s, w) is: table, column, who wrote the column's row, default; the table or its first
 * partition, file, TOAST table. Or: table or partition, 0, who wrote its row type's row, owner.
 * Making a varchar or a varbit longer changes no value.
 */
static const char look_sql[] =
    "WITH RECURSIVE reads AS (SELECT w.*, a.*, a.xmin AS writer, coalesce(d.oid, 0) AS def"
    "  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (tab, name, ord)"
    "  JOIN pg_attribute a ON a.attrelid = to_regclass(w.tab) AND a.attname = w.name"
    "    AND NOT a.attisdropped"
    "  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum),"
    /* what their types are made of */
    " types (oid) AS (SELECT atttypid FROM reads UNION"
    "  SELECT part.oid FROM types JOIN pg_type t USING (oid) CROSS JOIN LATERAL ("
    "    SELECT t.typelem UNION ALL SELECT t.typbasetype UNION ALL"
    "    SELECT rngsubtype FROM pg_range WHERE t.oid IN (rngtypid, rngmultitypid) UNION ALL"
    "    SELECT atttypid FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0"
    "      AND NOT attisdropped) part (oid) WHERE part.oid <> 0),"
    " lines AS (SELECT ord, format('column %s of %s was number %s, of type %s', name, tab, attnum,"
    "    format_type(atttypid, CASE WHEN atttypid IN (1043, 1562) THEN -1 ELSE atttypmod END))"
    "    AS line FROM reads UNION ALL"
    "  SELECT NULL, format('value %s of enum %s was number %s', enumlabel,"
    "    format_type(enumtypid, NULL), e.oid) FROM pg_enum e JOIN types t ON t.oid = enumtypid),"
    " tree (root, oid) AS (SELECT DISTINCT attrelid, attrelid FROM reads UNION ALL"
    "  SELECT root, inhrelid FROM tree JOIN pg_inherits ON inhparent = tree.oid"
    "    JOIN pg_class c ON c.oid = inhrelid AND relispartition),"
    " files AS (SELECT DISTINCT ON (root) root, c.* FROM tree JOIN pg_class c USING (oid)"
    "  WHERE relkind = 'r' ORDER BY root, oid),"
    " stamps AS (SELECT r.tab, r.name, r.ord, ARRAY[attrelid::bigint, attnum, writer::text::bigint,"
    "    def::bigint, coalesce(f.oid, 0)::bigint, coalesce(relfilenode, 0)::bigint,"
    "    coalesce(reltoastrelid, 0)::bigint] AS s FROM reads r LEFT JOIN files f ON root = attrelid"
    "  UNION ALL SELECT DISTINCT c.oid::regclass::text, NULL, NULL::bigint, ARRAY[c.oid::bigint, 0,"
    "    t.xmin::text::bigint, c.relowner::bigint] FROM tree JOIN pg_class c USING (oid)"
    "    JOIN pg_type t ON t.oid = c.reltype WHERE $5::bool),"
    " now AS (SELECT"
    "  (SELECT coalesce(string_agg(line, E'\\n' ORDER BY ord, line), '') FROM lines) AS lines,"
    "  (SELECT coalesce(string_agg(array_to_string(s, ' '), E'\\n' ORDER BY ord, s), '') FROM stamps)"
    "    AS stamps) "
    "SELECT lines, stamps,"
    " (SELECT line FROM unnest(string_to_array($3, E'\\n')) WITH ORDINALITY l (line, n)"
    "  WHERE line NOT IN (SELECT unnest(string_to_array(lines, E'\\n')) FROM now)"
    "  ORDER BY n LIMIT 1),"
    " (SELECT format('column %s of %s', name, tab) FROM unnest(string_to_array($4, E'\\n')) l"
    "  CROSS JOIN LATERAL (SELECT string_to_array(l, ' ')::bigint[]) was (w)"
    "  JOIN stamps ON s[1] = w[1] AND s[2] = w[2]"
    "  WHERE s[2] <> 0 AND s[3] <> w[3] AND NOT (s[4] > 0 AND s[4] = w[4])"
    "    AND NOT (s[5] = w[5] AND (s[6] = w[6] OR (s[7] > 0 AND s[7] = w[7])))"
    "  ORDER BY ord LIMIT 1),"
    " (SELECT tab FROM unnest(string_to_array($4, E'\\n')) l"
    "  CROSS JOIN LATERAL (SELECT string_to_array(l, ' ')::bigint[]) was (w)"
    "  JOIN stamps ON s[1] = w[1] AND s[2] = 0 AND w[2] = 0"
    "  WHERE s[3] <> w[3] AND s[4] = w[4] ORDER BY tab LIMIT 1) FROM now";

bool altered_look(struct pg *source, const struct altered_columns *columns,
		  const struct ledger_columns *was, struct arena *a, struct altered *out,
		  struct err *e)
{
	const char *params[] = { columns->tables, columns->names, was->lines, was->stamps,
				 columns->by_name ? "t" : "f" };
	struct pg_result *r = NULL;

	if (!pg_query_row(source, look_sql, 5, params, &r, e))
		return err_wrap(e, "look at the columns of the old tables");
	*out = (struct altered){ .now = { arena_strdup(a, pg_text(r, 0, 0)),
					  arena_strdup(a, pg_text(r, 0, 1)) },
				 .lost = arena_strdup(a, pg_text(r, 0, 2)),
				 .rewritten = arena_strdup(a, pg_text(r, 0, 3)),
				 .renamed = arena_strdup(a, pg_text(r, 0, 4)) };
	pg_result_free(r);
	return true;
}
