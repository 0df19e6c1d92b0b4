#!/usr/bin/env bash
# bench/drain.sh: how fast a backlog is drained, beside native logical replication at its defaults.
#
# A backlog of --changes row changes is made while nobody applies it; then copies of one slot are
# drained into copies of one target database, so that every round has the same WAL and the same
# tables. The time is from the first use of the slot until the backlog's last row is visible at the
# target and a synchronous commit made after that has returned: what was applied is on disk then,
# whatever the contender's own commits wait for.
#
#   tpcb     pgbench's TPC-B: 3 updates and an insert a transaction
#   simple   an update and an insert a transaction
#   insert   one insert a transaction
#   mix      20 changes a transaction: 45 % inserts, 45 % updates, 10 % deletes; two indexes
#   bigtx    the same share in a single transaction
#
#   native      CREATE SUBSCRIPTION at its defaults (its commits do not wait for the disk)
#   crossfade   pgcrossfade run at its defaults (nor do these)
#   waiting     pgcrossfade run with synchronous_commit: on
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
option changes 1000000 "row changes of each backlog"
option workloads "tpcb simple insert mix bigtx" "which, in order"
option scale 10 "of pgbench, for tpcb and simple"
option decoder pgoutput "of pgcrossfade"
option contenders "native crossfade" "which, in order; waiting is the third"
bench_open drain "$@"
N=$OPT_changes ROWS=1000000 # rows of table mix before the backlog

# --- workloads ---

old_tables() { # old_tables WORKLOAD
  case $1 in
    tpcb | simple) PGHOST=$DIR PGPORT=$(port_of source) PGUSER=postgres "$PGBIN/pgbench" -q -i -I dtGp -s "$OPT_scale" old >"$DIR/log/pgbench" 2>&1 ;;
    insert) sql source old -c "CREATE TABLE ins (id bigserial PRIMARY KEY, a int, b text, n numeric(12,2), ts timestamptz)" ;;
    mix | bigtx)
      sql source old -c "CREATE TABLE mix (id bigserial PRIMARY KEY, k int, v text, n numeric(12,2), ts timestamptz)" \
        -c "INSERT INTO mix (k, v, n, ts) SELECT i % 1000, 'value ' || md5(i::text), i / 7.0, now() FROM generate_series(1, $ROWS) i" \
        -c "CREATE INDEX ON mix (k)" ;;
  esac
  sql source old -c "CREATE TABLE bench_end (id int PRIMARY KEY)" -c "VACUUM (FREEZE, ANALYZE)"
}
flows() { # flows WORKLOAD
  case $1 in
    tpcb | simple) tpcb_flows ;;
    insert) flow ins id "id, a, b, n, ts" ;;
    mix | bigtx) flow mix id "id, k, v, n, ts" ;;
  esac
  flow bench_end id id
}
script_of() { # script_of WORKLOAD: for pgbench
  local i
  if [ "$1" = insert ]; then
    echo "INSERT INTO ins (a, b, n, ts) VALUES (:client_id, 'some text of an inserted row', 12.34, now());"
    return
  fi
  echo "BEGIN;"
  for i in 1 2 3 4 5 6 7 8 9; do
    echo "INSERT INTO mix (k, v, n, ts) VALUES ($i, 'inserted value of a row', 1.23, now());"
    echo "\\set r random(1, $ROWS)"
    echo "UPDATE mix SET v = 'updated value ' || :r, n = n + 1, ts = now() WHERE id = :r;"
  done
  for i in 1 2; do
    echo "\\set r random(1, $ROWS)"
    echo "DELETE FROM mix WHERE id = :r;"
  done
  echo "COMMIT;"
}
load() { # load TRANSACTIONS ARGUMENTS: by four clients, which do not wait for the disk
  local transactions=$1
  shift
  PGHOST=$DIR PGPORT=$(port_of source) PGUSER=postgres PGOPTIONS="-c synchronous_commit=off" \
    "$PGBIN/pgbench" -n -c 4 -j 2 -M prepared -t $((transactions / 4)) "$@" old >"$DIR/log/backlog" 2>&1
}
backlog() { # backlog WORKLOAD
  case $1 in
    tpcb) load $((N / 4)) -b tpcb-like ;;
    simple) load $((N / 2)) -b simple-update ;;
    insert | mix)
      script_of "$1" >"$DIR/$1.sql"
      if [ "$1" = insert ]; then load "$N" -f "$DIR/$1.sql"; else load $((N / 20)) -f "$DIR/$1.sql"; fi ;;
    bigtx)
      sql source old -c "BEGIN" \
        -c "INSERT INTO mix (k, v, n, ts) SELECT i % 1000, 'inserted value of a row', 1.23, now() FROM generate_series(1, $((N * 45 / 100))) i" \
        -c "UPDATE mix SET v = 'updated value ' || id, n = n + 1, ts = now() WHERE id <= $((N * 45 / 100))" \
        -c "DELETE FROM mix WHERE id > $((ROWS - N / 10)) AND id <= $ROWS" -c "COMMIT" ;;
  esac
  sql source old -c "INSERT INTO bench_end VALUES (1)"
}

# --- what all contenders start from ---

migration_file() { # migration_file WORKLOAD [LINE]
  printf '%s\n' "migration: bench" "source: $(conninfo source old)" "target: $(conninfo target new)" \
    "decoder: $OPT_decoder" "${2:-}" "flows:" "$(flows "$1")" >"$DIR/bench.yaml"
}
drop_slot() { # drop_slot SLOT: once it is idle
  until_true source postgres "SELECT NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$1' AND active)" 30
  sql source postgres -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$1'" >/dev/null
}
copy_slot() { sql source old -c "SELECT pg_copy_logical_replication_slot('$1', '$2')" >/dev/null; }
copy_database() { # copy_database FROM TO, at the target
  drop_database target "$2"
  sql target postgres -c "CREATE DATABASE $2 TEMPLATE $1 STRATEGY file_copy"
}
setup() { # setup WORKLOAD: the base at both sides, a slot for each contender, and the backlog
  say "$1: base and backlog"
  sql source postgres -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
  fresh_database source old
  fresh_database target new
  old_tables "$1"
  "$PGBIN/pg_dump" -s -h "$DIR" -p "$(port_of source)" -U postgres old | sql target new >/dev/null
  migration_file "$1"
  start_run "$DIR/bench.yaml"
  "$PROGRAM" wait "$DIR/bench.yaml" --for lag-zero --timeout 300 >/dev/null || die "pgcrossfade: $(tail -3 "$DIR/log/run")"
  stop_run
  sql target new -c "VACUUM (FREEZE, ANALYZE)"
  copy_database new base_crossfade
  copy_database new base_native
  sql target base_native -c "DROP SCHEMA pgcrossfade CASCADE"
  sql source old -c "CREATE PUBLICATION native FOR TABLES IN SCHEMA public" \
    -c "SELECT pg_create_logical_replication_slot('base_native', 'pgoutput')" >/dev/null
  copy_slot pgcrossfade_bench base_crossfade
  drop_slot pgcrossfade_bench
  backlog "$1"
  BACKLOG=$(digest source old)
}
digest() { # digest SERVER DATABASE: count and sum of hashes of every table's rows
  sql "$1" "$2" <<'SQL'
SELECT string_agg(relname || '=' || (xpath('/row/c/text()', query_to_xml(format(
  'SELECT count(*) || '':'' || coalesce(sum(hashtext(t::text)::bigint), 0) c FROM public.%I t', relname), true, true, '')))[1]::text, ' ' ORDER BY relname)
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
SQL
}

# --- contenders ---

# drained SLOT NAME START...: START begins it; a copy of the slot may be read in its place
drained() {
  local slot=$1 name=$2
  shift 2
  settle
  "$@"
  until_true source postgres "SELECT count(*) > 0 FROM pg_replication_slots WHERE slot_name LIKE '$slot%' AND active" 60
  timed "$name" "$N" on_disk
}
on_disk() {
  until_true target new "SELECT count(*) = 1 FROM bench_end" 900 || die "not drained: $(tail -3 "$DIR/log/run")"
  sql target new -c "CREATE TABLE on_disk ()"
}
same() { # same NAME
  sql target new -c "DROP TABLE on_disk"
  [ "$(digest target new)" = "$BACKLOG" ] || die "$1: the target differs from the source"
}
ours() { # ours NAME [LINE of the migration file]
  local name=$WORKLOAD-$1
  copy_database base_crossfade new
  copy_slot base_crossfade pgcrossfade_bench
  migration_file "$WORKLOAD" "${2:-}"
  drained pgcrossfade_bench "$name" start_run "$DIR/bench.yaml"
  awk -v name="$name" '/^VmHWM/ { printf "  %s: %.0f MB at most\n", name, $2 / 1024 }' "/proc/$RUN_PID/status" >&2
  stop_run
  same "$name"
  drop_slot pgcrossfade_bench
}
enable() { sql target new -c "ALTER SUBSCRIPTION native ENABLE"; }
native() {
  copy_database base_native new
  copy_slot base_native native
  sql target new -c "CREATE SUBSCRIPTION native CONNECTION '$(conninfo source old)' PUBLICATION native
    WITH (create_slot = false, slot_name = 'native', enabled = false, copy_data = false)"
  drained native "$WORKLOAD-native" enable
  sql target new -c "ALTER SUBSCRIPTION native DISABLE" -c "ALTER SUBSCRIPTION native SET (slot_name = NONE)" -c "DROP SUBSCRIPTION native"
  same native
  drop_slot native
}
run_native() { native; }
run_crossfade() { ours crossfade; }
run_waiting() { ours waiting "synchronous_commit: on"; }

for WORKLOAD in $OPT_workloads; do
  setup "$WORKLOAD"
  rounds $OPT_contenders
done
for WORKLOAD in $OPT_workloads; do
  echo "$WORKLOAD, $N changes; ratio: speed in relation to native"
  report "$WORKLOAD-native" "^$WORKLOAD-"
done
