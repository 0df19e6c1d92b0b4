#include "pg/away.h"

/*
 * $1: the target table, with all its partitions.
 *
 * While the stream runs a foreign key only checks, and late: what CASCADE and the like did
 * at the source comes as changes of its own, and a row that is deleted and inserted again
 * must not take its children along. A partitioned table knows no NOT VALID.
 */
static const char foreign_keys_sql[] =
    "WITH tree AS (SELECT $1::regclass::oid AS rel UNION"
    "  SELECT relid FROM pg_partition_tree($1::regclass)),"
    " keys AS (SELECT c.*, c.conrelid::regclass AS tab, pg_get_constraintdef(c.oid) AS def,"
    "  c.confdeltype <> 'a' OR c.confupdtype <> 'a' AS acts,"
    "  c.convalidated AND k.relkind <> 'p' AS later,"
    "  CASE WHEN c.convalidated AND k.relkind <> 'p' THEN ' NOT VALID' ELSE '' END AS unseen,"
    /* as pg_get_constraintdef begins */
    "  format('FOREIGN KEY (%s) REFERENCES %s(%s)',"
    "   (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n.place)"
    "     FROM unnest(c.conkey) WITH ORDINALITY n(no, place) JOIN pg_attribute a"
    "     ON a.attrelid = c.conrelid AND a.attnum = n.no), c.confrelid::regclass,"
    "   (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n.place)"
    "     FROM unnest(c.confkey) WITH ORDINALITY n(no, place) JOIN pg_attribute a"
    "     ON a.attrelid = c.confrelid AND a.attnum = n.no)) AS bare,"
    "  CASE c.confmatchtype WHEN 'f' THEN ' MATCH FULL' ELSE '' END AS match,"
    "  coalesce('; COMMENT ON CONSTRAINT ' || quote_ident(c.conname) || ' ON '"
    "   || c.conrelid::regclass || ' IS ' || quote_literal(obj_description(c.oid, 'pg_constraint')),"
    "   '') AS rest"
    "  FROM pg_constraint c JOIN tree ON tree.rel = c.conrelid JOIN pg_class k ON k.oid = rel"
    "  WHERE c.contype = 'f' AND c.conparentid = 0) "
    "SELECT 'foreign key', tab::text, conname::text,"
    " format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', tab, conname,"
    "   CASE WHEN acts THEN bare || match || coalesce(substring(def, ' NOT (?:VALID|ENFORCED)$'), '')"
    "    ELSE def END, unseen)"
    "  || CASE WHEN acts OR NOT condeferrable THEN"
    "   format('; ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE', tab, conname) ELSE '' END"
    "  || rest,"
    " format('ALTER TABLE %s DROP CONSTRAINT %I', tab, conname),"
    " CASE WHEN later THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I', tab, conname) END,"
    " CASE WHEN acts THEN 'ALTER TABLE %1$s DROP CONSTRAINT %2$s; ALTER TABLE %1$s ADD CONSTRAINT'"
    "   || ' %2$s FOREIGN KEY (%3$s) REFERENCES %4$s(%5$s)'"
    "   || replace(substr(def, length(bare) + 1), '%', '%%') || unseen || '%6$s'"
    "  WHEN NOT condeferrable THEN 'ALTER TABLE %1$s ALTER CONSTRAINT %2$s NOT DEFERRABLE' END,"
    " CASE WHEN acts AND later THEN 'ALTER TABLE %1$s VALIDATE CONSTRAINT %2$s' END,"
    " NULL, false FROM keys";

/*
 * $2: the targets of all flows; $3: the flow's key columns; $4: it is a lookup; $5: rejects are
 * allowed. What the index is for, and what its definition leaves out.
 * An index of a partitioned table goes with those of its partitions; made again they come
 * first, under their names, and the index above takes up those that are there. Statistics targets
 * come last, and from the top: one of the index above is given to all below.
 */
static const char indexes_sql[] =
    "WITH tree AS (SELECT $1::regclass::oid AS rel UNION"
    "  SELECT relid FROM pg_partition_tree($1::regclass)),"
    " ours AS (SELECT to_regclass(t)::oid AS rel FROM unnest($2::text[]) t UNION"
    "  SELECT p.relid FROM unnest($2::text[]) t, pg_partition_tree(to_regclass(t)) p),"
    " indexes AS ("
    " SELECT i.*, x.oid, x.relname, x.relispartition, x.relkind, i.indrelid::regclass AS tab,"
    "  x.oid::regclass AS idx, c.oid AS con, c.condeferrable AS late,"
    "  concat(CASE WHEN i.indisclustered"
    "    THEN format('; ALTER TABLE %s CLUSTER ON %I', i.indrelid::regclass, x.relname) END,"
    "   CASE WHEN t.spcname IS NOT NULL"
    "    THEN format('; ALTER INDEX %I.%I SET TABLESPACE %I', n.nspname, x.relname, t.spcname) END,"
    "   '; COMMENT ON INDEX ' || format('%I.%I', n.nspname, x.relname) || ' IS '"
    "    || quote_literal(obj_description(x.oid, 'pg_class')),"
    "   '; COMMENT ON CONSTRAINT ' || quote_ident(c.conname) || ' ON '"
    "    || i.indrelid::regclass || ' IS ' || quote_literal(obj_description(c.oid, 'pg_constraint'))"
    "  ) AS rest,"
    "  (SELECT string_agg(format('; ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', n.nspname,"
    "    x.relname, a.attnum, a.attstattarget), '' ORDER BY a.attnum) FROM pg_attribute a"
    "   WHERE a.attrelid = x.oid AND a.attstattarget >= 0) AS targets,"
    /* pg_get_constraintdef leaves the former out, but for EXCLUDE, and ends with the latter */
    "  (SELECT format(' WITH (%s)', string_agg(format('%I = %L', option_name, option_value), ', '))"
    "    FROM pg_options_to_table(x.reloptions) WHERE c.contype <> 'x' HAVING count(*) > 0) AS options,"
    "  concat(CASE WHEN c.condeferrable THEN ' DEFERRABLE' END,"
    "   CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' END) AS tail,"
    "  concat('CREATE ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, 'INDEX ',"
    "   quote_ident(x.relname), ' ON ') AS head,"
    "  coalesce(i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND ("
    "   SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a"
    "    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))"
    "   = (SELECT array_agg(k ORDER BY k) FROM unnest($3::text[]) k), false) AS flow_key,"
    "  EXISTS (SELECT FROM pg_depend d"
    "   LEFT JOIN pg_constraint f ON d.classid = 'pg_constraint'::regclass AND f.oid = d.objid"
    "   WHERE d.deptype = 'n' AND (f.conrelid = ANY (SELECT rel FROM ours)) IS NOT TRUE"
    "   AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indexrelid"
    "    OR d.refclassid = 'pg_constraint'::regclass AND d.refobjid = c.oid)) AS rested"
    "  FROM pg_index i JOIN tree ON tree.rel = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid"
    "  JOIN pg_namespace n ON n.oid = x.relnamespace"
    "  LEFT JOIN pg_tablespace t ON t.oid = x.reltablespace"
    "  LEFT JOIN pg_constraint c ON c.conindid = x.oid AND c.contype IN ('p', 'u', 'x')),"
    " pieces AS (SELECT oid, relname, targets,"
    "  CASE WHEN con IS NOT NULL THEN format('ALTER TABLE %s ADD CONSTRAINT %I %s%s%s', tab, relname,"
    "    left(pg_get_constraintdef(con), length(pg_get_constraintdef(con)) - length(tail)),"
    "    options, tail)"
    "   WHEN relkind = 'I' /* without its ONLY */"
    "    THEN head || substr(pg_get_indexdef(oid), length(head) + length('ONLY ') + 1)"
    "   ELSE pg_get_indexdef(oid) END || rest AS make FROM indexes) "
    "SELECT CASE WHEN NOT indisunique AND NOT indisexclusion THEN 'index'"
    "            WHEN indisprimary OR (flow_key AND late IS NOT TRUE) THEN 'key'"
    "            ELSE 'unique' END,"
    "       tab::text, i.relname::text,"
    "       CASE WHEN relkind = 'I' THEN (SELECT string_agg(p.make, '; ' ORDER BY t.level DESC,"
    "          p.relname) || coalesce(string_agg(p.targets, '' ORDER BY t.level), '')"
    "         FROM pg_partition_tree(i.oid::regclass) t JOIN pieces p ON p.oid = t.relid)"
    "        ELSE (SELECT concat(make, targets) FROM pieces p WHERE p.oid = i.oid) END,"
    "       CASE WHEN con IS NULL THEN format('DROP INDEX %s', idx)"
    "            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', tab, i.relname) END,"
    "       NULL, NULL, NULL,"
    "       CASE WHEN $4::bool THEN 'lookup'"
    "            WHEN $5::bool AND (indisunique OR indisexclusion) THEN 'rejects'"
    "            WHEN indisreplident OR NOT indisvalid THEN 'held'"
    "            WHEN rested THEN 'rested' END,"
    "       flow_key FROM indexes i WHERE NOT i.relispartition ORDER BY i.relname";

bool away_list(struct pg *target, const struct away_scope *scope, bool foreign_keys,
	       struct pg_result **out, struct err *e)
{
	const char *params[] = { scope->target, scope->targets, scope->key,
				 scope->lookup ? "t" : "f", scope->rejects ? "t" : "f" };

	return foreign_keys ? pg_query(target, foreign_keys_sql, 1, params, out, e)
			    : pg_query(target, indexes_sql, 5, params, out, e);
}
