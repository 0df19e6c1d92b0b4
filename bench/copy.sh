#!/usr/bin/env bash
# bench/copy.sh: the copy of existing rows, beside what a database administrator would use.
#
# One table of narrow rows (100 bytes) and one of wide rows (20 columns of many types, 500
# bytes, every hundredth row with a long text), each with three computed columns; a primary key
# each and two more indexes on the wide one. From the first moment to the last index.
#
#   two databases, two servers
#     pipes       two psql | psql pipes of binary COPY, each half a table; then indexes, two at once
#     native      CREATE SUBSCRIPTION, indexes after the copy, two at once; does not transform
#     pgcopydb    pgcopydb clone, two jobs; does not transform
#     crossfade   pgcrossfade run, until the phase is stream: with check, slot, ANALYZE
#   one database
#     insert      two INSERT ... SELECT at once, each half a table; then indexes, two at once
#     inside      pgcrossfade run, as above
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
option narrow 5000000 "rows of the narrow table"
option wide 1000000 "rows of the wide table"
option jobs "" "jobs of pgcrossfade, instead of its default"
bench_open copy "$@"
NARROW=$OPT_narrow WIDE=$OPT_wide ROWS=$((OPT_narrow + OPT_wide)) BASE=copy_${OPT_narrow}_$OPT_wide
need pgcopydb

wide_columns() { # wide_columns TYPE-OF-AMOUNT
  echo "id bigint NOT NULL, i1 int, i2 int, i3 int, b1 bigint, b2 bigint, amount $1, n2 numeric(20,6),
    name text, t2 text, t3 text, remark text, at timestamptz, seen timestamptz, day date, doc jsonb, tag uuid,
    bytes bytea, ratio float8, flag bool"; }
OLD="CREATE TABLE account (aid int NOT NULL, bid int, balance int, filler char(84));
  CREATE TABLE item ($(wide_columns 'numeric(12,2)'));"
NEW="CREATE TABLE account (aid int NOT NULL, bid int, balance bigint, filler char(84));
  CREATE TABLE item ($(wide_columns bigint));"
ACCOUNT="aid, bid + 1000 AS bid, balance::bigint * 100 AS balance, upper(filler)::char(84) AS filler"
ITEM="id, i1, i2, i3, b1, b2, (amount * 100)::bigint AS amount, n2, upper(name) AS name, t2, t3, remark, at, seen, day,
  doc || '{\"v\":2}' AS doc, tag, bytes, ratio, flag"
ACCOUNT_INDEXES="ALTER TABLE account ADD PRIMARY KEY (aid)"
ITEM_INDEXES="ALTER TABLE item ADD PRIMARY KEY (id); CREATE INDEX item_at ON item (at); CREATE INDEX item_tag ON item (tag)"

build_base() {
  ! has_database source "$BASE" || return 0
  say "filling $BASE"
  sql source postgres -c "CREATE DATABASE $BASE TEMPLATE template0"
  sql source "$BASE" -c "$OLD"
  sql source "$BASE" -c "INSERT INTO account SELECT i, (i - 1) / 100000 + 1, 0, '' FROM generate_series(1, $NARROW) i" &
  sql source "$BASE" <<SQL
INSERT INTO item SELECT i, i % 1000, i * 7 % 100003, CASE WHEN i % 10 > 0 THEN i % 77 END, i::bigint * 1000003,
  i::bigint * i, (i % 1000000) / 100.0, i / 7.0, 'name-' || i, md5(i::text),
  md5(i::text) || ' some ordinary text with a few words ' || md5((i + 1)::text),
  CASE WHEN i % 100 = 0 THEN (SELECT string_agg(md5((i + k)::text), '') FROM generate_series(1, 160) k) END,
  timestamptz '2020-01-01' + i * interval '37 s', CASE WHEN i % 5 > 0 THEN now() END, date '2020-01-01' + i % 2000,
  jsonb_build_object('k', i, 'tag', md5(i::text), 'list', jsonb_build_array(i, i + 1, 'x')), md5((i * 3)::text)::uuid,
  decode(md5(i::text), 'hex'), i / 3.0::float8, i % 3 = 0 FROM generate_series(1, $WIDE) i;
SQL
  wait
  sql source "$BASE" -c "$ACCOUNT_INDEXES; $ITEM_INDEXES"
  sql source "$BASE" -c "VACUUM (FREEZE, ANALYZE)"
  sql source postgres -c CHECKPOINT
}

# --- what the contenders share ---

both() { # both COMMAND COMMAND: at once; fails if one does
  eval "$1" &
  local first=$!
  eval "$2" || return 1
  wait "$first"
}
pages() { sql source "$BASE" -c "SELECT relpages FROM pg_class WHERE oid = 'public.$1'::regclass"; }
half() { # half TABLE 1|2: the WHERE of its first or second half, by place
  local middle=$(($(pages "$1") / 2))
  if [ "$2" = 1 ]; then echo "ctid < '($middle,0)'"; else echo "ctid >= '($middle,0)'"; fi
}
indexes() { # indexes SERVER DATABASE SCHEMA
  both "index $1 $2 $3 '$ACCOUNT_INDEXES'" "index $1 $2 $3 '$ITEM_INDEXES'"; }
index() { sql "$1" "$2" -c "SET search_path = $3" -c "$4"; }
counted() { # counted SERVER DATABASE SCHEMA WHO: all rows and all indexes are there
  local have
  have=$(sql "$1" "$2" -c "SELECT (SELECT count(*) FROM $3.account) + (SELECT count(*) FROM $3.item)
    || ' rows ' || (SELECT count(*) FROM pg_index WHERE indrelid IN ('$3.account'::regclass, '$3.item'::regclass))")
  [ "$have" = "$ROWS rows 4" ] || die "$4 left $have, want $ROWS rows 4 (indexes)"
}

# --- two databases ---

pipe() { # pipe TABLE SELECT 1|2
  sql source "$BASE" -c "COPY (SELECT $2 FROM $1 WHERE $(half "$1" "$3")) TO STDOUT (FORMAT binary)" |
    sql target copied -c "COPY $1 FROM STDIN (FORMAT binary)"; }
pipes() {
  both 'pipe account "$ACCOUNT" 1' 'pipe account "$ACCOUNT" 2'
  both 'pipe item "$ITEM" 1' 'pipe item "$ITEM" 2'
  indexes target copied public
}
run_pipes() {
  fresh_database target copied "$NEW"
  settle
  timed pipes "$ROWS" pipes
  counted target copied public pipes
}

native() {
  sql target copied -c "CREATE SUBSCRIPTION copy CONNECTION '$(conninfo source "$BASE")' PUBLICATION copy"
  until_true target copied "SELECT count(*) = 2 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel" 600
  indexes target copied public
}
run_native() {
  fresh_database target copied "$OLD"
  sql source "$BASE" -c "DROP PUBLICATION IF EXISTS copy" -c "CREATE PUBLICATION copy FOR TABLE account, item"
  settle
  timed native "$ROWS" native
  counted target copied public native
  sql target copied -c "DROP SUBSCRIPTION copy"
  sql source "$BASE" -c "DROP PUBLICATION copy"
}

clone() {
  pgcopydb clone --dir "$DIR/pgcopydb" --source "$(conninfo source "$BASE")" --target "$(conninfo target copied)" \
    --table-jobs 2 --index-jobs 2 --skip-large-objects >"$DIR/log/pgcopydb" 2>&1 || die "pgcopydb: $DIR/log/pgcopydb"; }
run_pgcopydb() {
  fresh_database target copied
  rm -rf "$DIR/pgcopydb"
  settle
  timed pgcopydb "$ROWS" clone
  counted target copied public pgcopydb
}

# migration_file SOURCE-SERVER SOURCE-DATABASE TARGET-SERVER TARGET-DATABASE SCHEMA
migration_file() {
  cat <<YAML
migration: bench
source: $(conninfo "$1" "$2")
target: $(conninfo "$3" "$4")
${OPT_jobs:+jobs: $OPT_jobs}
flows:
  - {from: public.account, to: $5.account, key: [aid], select: "SELECT $ACCOUNT FROM old"}
  - from: public.item
    to: $5.item
    key: [id]
    select: |
      SELECT ${ITEM//$'\n'/ } FROM old
YAML
}
crossfade() { # crossfade SERVER DATABASE
  start_run "$DIR/bench.yaml"
  in_phase "$2" bench stream 600 "$1"
}
run_crossfade() {
  fresh_database target copied "$NEW $ACCOUNT_INDEXES; $ITEM_INDEXES"
  settle
  migration_file source "$BASE" target copied public >"$DIR/bench.yaml"
  timed crossfade "$ROWS" crossfade target copied
  stop_run
  cp "$DIR/log/run" "$DIR/log/run-crossfade"
  counted target copied public crossfade
  abort_run "$DIR/bench.yaml"
}

# --- one database ---

new_schema() { # new_schema [INDEXES]: an empty one beside the old tables
  sql source "$BASE" -c "DROP SCHEMA IF EXISTS new CASCADE" -c "CREATE SCHEMA new" -c "SET search_path = new" -c "$NEW ${1:-}"; }
insert() { sql source "$BASE" -c "INSERT INTO new.$1 SELECT $2 FROM $1 WHERE $(half "$1" "$3")"; }
inserts() {
  both 'insert account "$ACCOUNT" 1' 'insert account "$ACCOUNT" 2'
  both 'insert item "$ITEM" 1' 'insert item "$ITEM" 2'
  indexes source "$BASE" new
}
run_insert() {
  new_schema
  settle
  timed insert "$ROWS" inserts
  counted source "$BASE" new insert
}
run_inside() {
  new_schema "$ACCOUNT_INDEXES; $ITEM_INDEXES"
  settle
  migration_file source "$BASE" source "$BASE" new >"$DIR/bench.yaml"
  timed inside "$ROWS" crossfade source "$BASE"
  stop_run
  cp "$DIR/log/run" "$DIR/log/run-inside"
  counted source "$BASE" new inside
  abort_run "$DIR/bench.yaml"
}

build_base
rounds pipes native pgcopydb crossfade insert inside
echo "two databases, two servers; ratio: speed in relation to two binary COPY pipes"
report pipes '^(pipes|native|pgcopydb|crossfade)$'
echo "one database; ratio: speed in relation to two INSERT ... SELECT"
report insert '^(insert|inside)$'
