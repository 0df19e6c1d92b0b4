#!/usr/bin/env bash
# bench/growth.sh: does the copy stay linear, and the memory flat, as tables grow?
#
# One table of narrow rows (60 bytes) with a primary key, three computed columns, between two
# servers; once for each of --sizes, given in millions of rows. Prints for each the seconds of
# copying and of building the key (with ANALYZE); per million rows the seconds, and the CPU seconds
# of both servers and pgcrossfade, which say more where the machine is not idle; the number of
# chunks, and the most memory that pgcrossfade ever held (VmHWM). The table of 50 million rows
# takes 20 GB of disk while it is measured.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
option sizes "1 5 10 50" "sizes of the table, in millions of rows"
option jobs "" "jobs of pgcrossfade, instead of its default"
OPT_runs=1
bench_open growth "$@"

SELECT="id::bigint AS id, region + 1000 AS region, (amount * 100)::bigint AS amount, upper(label) AS label"

build_base() { # build_base MILLIONS
  say "filling $1 million rows"
  fresh_database source growing "CREATE TABLE entry (id int NOT NULL, region int, amount numeric(12,2), label text)"
  sql source growing -c "INSERT INTO entry SELECT i, i % 1000, i % 1000000 / 100.0, 'label ' || i % 10000
    FROM generate_series(1, $1 * 1000000) i"
  sql source growing -c "ALTER TABLE entry ADD PRIMARY KEY (id)"
  sql source growing -c "VACUUM (FREEZE, ANALYZE) entry"
  fresh_database target growing "CREATE TABLE entry (id bigint PRIMARY KEY, region int, amount bigint, label text)"
  settle
}
migration_file() {
  cat <<YAML
migration: growth
source: $(conninfo source growing)
target: $(conninfo target growing)
${OPT_jobs:+jobs: $OPT_jobs}
flows:
  - {from: public.entry, to: public.entry, key: [id], select: "SELECT $SELECT FROM old"}
YAML
}
copy() {
  start_run "$DIR/growth.yaml"
  in_phase growing growth stream 7200
}
moment() { # moment EVENT: when the run's log has it, in seconds
  date -d "$(sed -n "s/^time=\([^ ]*\) .*event=$1 .*/\1/p" "$DIR/log/run" | head -1)" +%s.%N; }
memory() { awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$RUN_PID/status"; }

measure() { # measure MILLIONS
  local chunks
  build_base "$1"
  migration_file >"$DIR/growth.yaml"
  timed "$1-million" "$(($1 * 1000000))" copy
  chunks=$(sql target growing -c "SELECT count(*) FROM pgcrossfade.chunk_copied")
  TABLE+=("$(echo "$1 $(moment generation.open) $(moment chunks.copied) $(moment phase.from=copy) $chunks $(memory) $(tail -1 "$RESULTS" | tr , ' ')" |
    awk '{ printf "%8d %9.1f %9.1f %9.1f %10.2f %10.2f %7d %8d",
      $1, $3 - $2, $4 - $3, $4 - $2, ($4 - $2) / $1, ($11 + $12 + $13) / $1, $5, $6 }')")
  stop_run
  [ "$(sql target growing -c "SELECT count(*) FROM entry")" = "$(($1 * 1000000))" ] || die "rows are missing"
  abort_run "$DIR/growth.yaml"
  drop_database source growing
  drop_database target growing
}

TABLE=()
for size in $OPT_sizes; do measure "$size"; done
printf '%8s %9s %9s %9s %10s %10s %7s %8s\n' millions "copy s" "build s" "both s" "s/million" "cpu/mill." chunks "MB held"
printf '%s\n' "${TABLE[@]}"
