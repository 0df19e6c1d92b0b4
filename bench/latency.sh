#!/usr/bin/env bash
# bench/latency.sh: from commit at the source to visible at the target, beside native replication.
#
# pgbench's TPC-B runs at --rate transactions a second; beside it one row at a time is committed into
# a table of its own (probe.c), 50 a second, and a trigger at the target tells when it is visible there.
# Milliseconds; alternating rounds; each figure is the median of the rounds, with their range.
#
#   native      CREATE SUBSCRIPTION at its defaults (its commits do not wait for the disk)
#   crossfade   pgcrossfade run at its defaults (nor do these)
#   waiting     pgcrossfade run with synchronous_commit: on
#   floor       the least that a client can do (floor.c): rows sent on as they are
#   floor_once  the same, with the position in a row of the target, so that nothing is applied twice
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
option rate 500 "transactions a second"
option seconds 30 "of each measurement"
option scale 10 "of pgbench"
option decoder pgoutput "of pgcrossfade"
option contenders "native crossfade" "which, in order; others: waiting floor floor_once"
bench_open latency "$@"
cc -D_GNU_SOURCE -O2 -Wall -I"$(pg_config --includedir)" -o "$DIR/probe" "$HERE/probe.c" -lpq || die "probe.c"
cc -D_GNU_SOURCE -O2 -Wall -I"$(pg_config --includedir)" -o "$DIR/floor" "$HERE/floor.c" -lpq || die "floor.c"

bench() { PGHOST=$DIR PGPORT=$(port_of source) PGUSER=postgres "$PGBIN/pgbench" "$@" old >>"$DIR/log/pgbench" 2>&1; }
migration_file() { # migration_file [LINE]
  printf '%s\n' "migration: bench" "source: $(conninfo source old)" "target: $(conninfo target new)" \
    "decoder: $OPT_decoder" "${1:-}" "flows:"
  tpcb_flows
  flow probe id id
}
base() {
  fresh_database source old
  bench -q -i -I dtGp -s "$OPT_scale"
  sql source old -c "CREATE TABLE probe (id int PRIMARY KEY)" -c "CREATE PUBLICATION native FOR TABLES IN SCHEMA public"
}
fresh_target() { # the old tables, empty, with the trigger that tells
  sql source old -c "TRUNCATE probe, pgbench_history"
  sql source old -c "VACUUM (FREEZE, ANALYZE)"
  fresh_database target new
  "$PGBIN/pg_dump" -s --no-publications -h "$DIR" -p "$(port_of source)" -U postgres old | sql target new >/dev/null
  sql target new <<'SQL'
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('probe', NEW.id::text); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT ON probe FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE probe ENABLE ALWAYS TRIGGER tell;
SQL
}
probe() { # probe NAME: under load, once the load runs
  local load result
  sql target new -c "VACUUM (FREEZE, ANALYZE)"
  settle
  bench -n -M prepared -b tpcb-like -c 4 -j 1 -R "$OPT_rate" -T $((OPT_seconds + 4)) &
  load=$!
  sleep 2
  result=$("$DIR/probe" "$(conninfo source old)" "$(conninfo target new)" "$OPT_seconds" 50) || die "$1: rows did not come: $(tail -3 "$DIR/log/run" 2>/dev/null)"
  wait "$load"
  echo "$1 $result" >>"$RESULTS"
  echo "$result" | awk -v name="$1" -v round="$ROUND" \
    '{ printf "  round %s  %-12s p50 %7.2f  p95 %7.2f  p99 %7.2f  most %7.2f ms  (%d rows)\n", round, name, $2, $3, $4, $5, $1 }' >&2
}
ours() { # ours NAME [LINE of the migration file]
  fresh_target
  migration_file "${2:-}" >"$DIR/bench.yaml"
  start_run "$DIR/bench.yaml"
  "$PROGRAM" wait "$DIR/bench.yaml" --for lag-zero --timeout 300 >/dev/null || die "pgcrossfade: $(tail -3 "$DIR/log/run")"
  probe "$1"
  stop_run
  abort_run "$DIR/bench.yaml"
}
run_crossfade() { ours crossfade; }
run_waiting() { ours waiting "synchronous_commit: on"; }
floor() { # floor NAME [once]
  local pid
  fresh_target
  sql source old -c "SELECT pg_create_logical_replication_slot('floor', 'pgoutput')" >/dev/null
  "$DIR/floor" "$(conninfo source old)" "$(conninfo target new)" floor native ${2:+"$2"} 2>"$DIR/log/run" &
  pid=$!
  probe "$1"
  kill "$pid"
  wait "$pid" || true
  until_true source old "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'floor'" 30
  sql source old -c "SELECT pg_drop_replication_slot('floor')" >/dev/null
}
run_floor() { floor floor; }
run_floor_once() { floor floor_once once; }
run_native() {
  fresh_target
  sql target new -c "CREATE SUBSCRIPTION native CONNECTION '$(conninfo source old)' PUBLICATION native"
  until_true target new "SELECT count(*) = 5 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel" 300
  probe native
  sql target new -c "DROP SUBSCRIPTION native"
}

base
rounds $OPT_contenders
echo "commit to visible at $OPT_rate transactions a second, ms: median of the rounds (range)"
sort -k1,1 "$RESULTS" | awk -v order="$OPT_contenders" '
  { n[$1]++; for (f = 3; f <= 6; f++) v[$1, f, n[$1]] = $f }
  function figure(name, f,   k, i, j, t, m) {
    k = n[name]
    for (i = 2; i <= k; i++) for (j = i; j > 1 && v[name, f, j] < v[name, f, j - 1]; j--) {
      t = v[name, f, j]; v[name, f, j] = v[name, f, j - 1]; v[name, f, j - 1] = t }
    m = (k % 2) ? v[name, f, (k + 1) / 2] : (v[name, f, k / 2] + v[name, f, k / 2 + 1]) / 2
    return sprintf("%.2f (%.2f-%.2f)", m, v[name, f, 1], v[name, f, k])
  }
  END {
    printf "%-12s %22s %22s %22s %22s\n", "name", "p50", "p95", "p99", "most"
    k = split(order, names, " ")
    for (i = 1; i <= k; i++) if (n[names[i]])
      printf "%-12s %22s %22s %22s %22s\n", names[i], figure(names[i], 3), figure(names[i], 4), figure(names[i], 5), figure(names[i], 6)
  }'
