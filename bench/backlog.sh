#!/usr/bin/env bash
# bench/backlog.sh: does the apply rate stay level, and the memory flat, over a long backlog?
#
# An hour of pgbench's TPC-B at --rate transactions a second is made as fast as the source can while
# nobody applies it: four row changes a transaction. Then pgcrossfade run drains it at its defaults.
# Prints for each tenth of the changes how many were applied a second, and the memory held (VmRSS)
# at most meanwhile; then compares counts and sums of both sides. Wants some 10 GB of disk.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
option rate 1000 "transactions a second, of an hour"
option minutes 60 "of backlog"
option scale 10 "of pgbench"
option decoder pgoutput "of pgcrossfade"
OPT_runs=1
bench_open backlog "$@"
TRANSACTIONS=$((OPT_rate * OPT_minutes * 60))

bench() { PGHOST=$DIR PGPORT=$(port_of source) PGUSER=postgres PGOPTIONS="-c synchronous_commit=off" "$PGBIN/pgbench" "$@" old >"$DIR/log/pgbench" 2>&1; }
migration_file() {
  printf '%s\n' "migration: bench" "source: $(conninfo source old)" "target: $(conninfo target new)" \
    "decoder: $OPT_decoder" "flows:"
  tpcb_flows
}
applied() { sql target new -c "SELECT changes FROM pgcrossfade.progress"; }
held() { awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$RUN_PID/status"; }
sum() { sql "$1" "$2" -c "SELECT count(*) || ' ' || sum(abalance) FROM pgbench_accounts" -c "SELECT count(*) || ' ' || sum(delta) FROM pgbench_history"; }

say "backlog of $TRANSACTIONS transactions"
fresh_database source old
fresh_database target new
bench -q -i -I dtGp -s "$OPT_scale"
"$PGBIN/pg_dump" -s -h "$DIR" -p "$(port_of source)" -U postgres old | sql target new >/dev/null
migration_file >"$DIR/bench.yaml"
start_run "$DIR/bench.yaml"
"$PROGRAM" wait "$DIR/bench.yaml" --for lag-zero --timeout 300 >/dev/null || die "pgcrossfade: $(tail -3 "$DIR/log/run")"
stop_run
BEFORE=$(applied)
bench -n -M prepared -b tpcb-like -c 4 -j 2 -t $((TRANSACTIONS / 4))
settle

say "draining"
start_run "$DIR/bench.yaml"
CHANGES=$((TRANSACTIONS / 4 * 4 * 4))
while :; do
  now=$(($(applied) - BEFORE))
  echo "$EPOCHREALTIME $now $(held)"
  [ "$now" -lt "$CHANGES" ] || break
  sleep 0.2
done >"$DIR/samples"
stop_run
awk -v all="$CHANGES" '
  function close_tenth() { printf "%5d %% %12.0f %8d\n", part * 10, ($2 - from) / ($1 - since), most }
  BEGIN { printf "%7s %12s %8s\n", "applied", "changes/s", "MB held"; part = 1 }
  NR == 1 { since = $1; from = $2 }
  $3 > most { most = $3 }
  $2 >= all * part / 10 { close_tenth(); while ($2 >= all * part / 10 && part < 11) part++; since = $1; from = $2; most = 0 }
  ' "$DIR/samples"
awk 'NR == 1 { since = $1 } END { printf "%d changes in %.1f s: %.0f a second\n", $2, $1 - since, $2 / ($1 - since) }' "$DIR/samples"
[ "$(sum source old)" = "$(sum target new)" ] || die "the target differs from the source"
echo "both sides are equal"
