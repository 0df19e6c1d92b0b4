# bench/lib.sh: two scratch servers, alternating rounds, medians. Source it, do not run it.
#
#   . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#   option rows 1000000 "rows of the table"     # --rows N, read back as $OPT_rows
#   bench_open my-bench "$@"                    # options read, servers up, program built
#   run_ours() { fresh_database target new "$ddl"; timed ours "$OPT_rows" copy_it; }
#   run_peer() { ...; timed peer "$OPT_rows" ...; }
#   rounds ours peer                            # run_ours, run_peer; and again, $OPT_runs times
#   report peer                                 # medians, ranges, ratio to peer
#
# Servers    "source" and "target", in $DIR, settings of server.conf; they listen on a Unix
#            socket in $DIR only, and run as OS user postgres when the script runs as root.
# Ends       everything is stopped and removed at exit, unless --dir names a place to keep.
# Times      wall seconds. CPU is that of the source, the target and the contender itself; "others" is how
#            many cores the rest of the machine used meanwhile: a run with more than a few
#            tenths there was disturbed, and is marked with "!" in what is printed.
# Shell      bash, set -eu; commands in a contender that fail end the script.
set -Eeuo pipefail
trap 'echo "bench: failed: $BASH_COMMAND (${BASH_SOURCE[0]##*/}:$LINENO)" >&2' ERR
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TREE=$(cd "$HERE/.." && pwd)

say() { echo "$*" >&2; }
die() { say "bench: $*"; exit 1; }

# --- options: rows of a table that feed --help and the variables OPT_name ---

OPTION_HELP=()
option() { # option NAME DEFAULT HELP
  printf -v "OPT_$1" %s "$2"
  OPTION_HELP+=("$(printf '  --%-10s %s (default: %s)' "$1" "$3" "${2:-none}")")
}
option runs 3 "rounds; each contender once a round"
option only "" "regular expression: only the contenders it matches"
option dir "" "keep servers' data there, and use what an earlier call made"
option program "" "the pgcrossfade to measure, instead of this tree's release build"

read_options() { # ARGUMENTS
  while [ $# -gt 0 ]; do
    local name=${1#--} known=OPT_${1#--}
    [ "$1" != --help ] || { printf 'options:\n'; printf '%s\n' "${OPTION_HELP[@]}"; exit 0; }
    [ "$1" != "$name" ] && [ -n "${!known+set}" ] && [ $# -ge 2 ] || die "unknown or incomplete option $1; see --help"
    printf -v "$known" %s "$2"
    shift 2
  done
}

# --- the machine ---

# As the servers' user; a postmaster refuses to be root.
as_owner() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

find_servers() {
  PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -1)
  [ -x "$PGBIN/postgres" ] || die "no PostgreSQL server; bench/setup installs it"
  export PATH=$PGBIN:$PATH
}
need() { # need PROGRAM: a peer that must be installed
  command -v "$1" >/dev/null || die "$1 is not installed; bench/setup installs it"; }

# --- servers ---

port_of() { if [ "$1" = source ]; then echo 6100; else echo 6101; fi; }
conninfo() { # conninfo SERVER DATABASE
  echo "host=$DIR port=$(port_of "$1") user=postgres dbname=$2"; }

make_server() { # make_server SERVER
  local data=$DIR/$1
  [ ! -f "$data/PG_VERSION" ] || return 0
  as_owner "$PGBIN/initdb" -D "$data" -E UTF8 --locale=C -A trust -U postgres >"$DIR/log/initdb-$1" 2>&1 ||
    die "initdb failed: $DIR/log/initdb-$1"
  {
    cat "$HERE/server.conf"
    echo "port = $(port_of "$1")"
    echo "unix_socket_directories = '$DIR'"
    # servers of late refuse a plugin that is not listed, others do not know the parameter
    if "$PGBIN/postgres" --describe-config | grep -q ^output_plugin_libraries; then
      echo "output_plugin_libraries = 'pgoutput, test_decoding, wal2json'"
    fi
    echo "include_if_exists 'extra.conf'"
  } >>"$data/postgresql.conf"
}
start_server() { # start_server SERVER
  as_owner "$PGBIN/pg_ctl" -D "$DIR/$1" status >/dev/null 2>&1 ||
    as_owner "$PGBIN/pg_ctl" -D "$DIR/$1" -w -l "$DIR/log/$1" start >/dev/null || die "$1 does not start: $DIR/log/$1"
}
stop_server() { # pg_ctl signals the pid in the data directory's own pid file
  [ ! -f "$DIR/$1/postmaster.pid" ] || as_owner "$PGBIN/pg_ctl" -D "$DIR/$1" -m fast -w stop >/dev/null 2>&1 || true; }
configure() { # configure SERVER 'name = value'...: on top of server.conf, and restart it
  local server=$1 line
  shift
  for line in "$@"; do echo "$line"; done >"$DIR/$server/extra.conf"
  chmod 644 "$DIR/$server/extra.conf"
  stop_server "$server"
  start_server "$server"
}

# sql SERVER DATABASE [psql arguments]: unaligned, tuples only, stops at the first error
sql() {
  local server=$1 database=$2
  shift 2
  PGOPTIONS="-c client_min_messages=error" "$PGBIN/psql" -X -q -At -v ON_ERROR_STOP=1 -h "$DIR" -p "$(port_of "$server")" -U postgres -d "$database" "$@"
}
has_database() { [ "$(sql "$1" postgres -c "SELECT count(*) FROM pg_database WHERE datname = '$2'")" = 1 ]; }
drop_database() { sql "$1" postgres -c "DROP DATABASE IF EXISTS $2 WITH (FORCE)"; }
fresh_database() { # fresh_database SERVER DATABASE [DDL]
  drop_database "$1" "$2"
  sql "$1" postgres -c "CREATE DATABASE $2 TEMPLATE template0"
  [ -z "${3:-}" ] || sql "$1" "$2" -c "$3"
}
# Nothing of an earlier contender is left to be written out.
settle() { sql source postgres -c CHECKPOINT; sql target postgres -c CHECKPOINT; }

# until_true SERVER DATABASE QUERY SECONDS: asked every 20 ms inside the server. What does not
# exist yet is false.
until_true() {
  sql "$1" "$2" <<SQL
DO \$wait\$
DECLARE
  done bool;
BEGIN
  FOR i IN 1 .. $4 * 50 LOOP
    BEGIN
      EXECUTE \$query\$$3\$query\$ INTO done;
    EXCEPTION WHEN undefined_table OR invalid_schema_name THEN
      done := false;
    END;
    IF done THEN RETURN; END IF;
    COMMIT;
    PERFORM pg_sleep(0.02);
  END LOOP;
  RAISE 'not true within $4 s: %', \$query\$$3\$query\$;
END
\$wait\$
SQL
}

# --- pgcrossfade ---

build_program() {
  PROGRAM=$OPT_program
  [ -n "$PROGRAM" ] || PROGRAM=$("$TREE/script/build" release)/pgcrossfade
  [ -x "$PROGRAM" ] || die "no program at $PROGRAM"
}
RUN_PID=
# start_run FILE: pgcrossfade run in the background, its log in $DIR/log/run
start_run() { "$PROGRAM" run "$1" 2>"$DIR/log/run" & RUN_PID=$!; }
# stop_run: as SIGTERM ends it
stop_run() {
  [ -n "$RUN_PID" ] || return 0
  kill "$RUN_PID" 2>/dev/null || true
  wait "$RUN_PID" || say "pgcrossfade run ended with $?: $(tail -1 "$DIR/log/run")"
  RUN_PID=
}
# abort_run FILE: nothing of the migration is left, and the new tables are empty
abort_run() { "$PROGRAM" abort "$1" >"$DIR/log/abort" 2>&1 || die "abort: $(tail -1 "$DIR/log/abort")"; }
# in_phase DATABASE MIGRATION PHASE SECONDS: waits until the ledger (at the target; at SERVER if a
# fifth argument says so) has the migration there
in_phase() {
  until_true "${5:-target}" "$1" "SELECT phase = '$3' FROM pgcrossfade.migration WHERE name = '$2'" "$4" ||
    die "phase $3 not reached: $(tail -3 "$DIR/log/run")"
}

# --- parts of a migration file ---

flow() { # flow TABLE KEY COLUMNS: as they are; KEY - for a table that only grows
  echo "  - from: public.$1"
  echo "    to: public.$1"
  if [ "$2" = - ]; then echo "    insert_only: true"; else echo "    key: [$2]"; fi
  echo "    select: SELECT $3 FROM old"
}
tpcb_flows() { # pgbench's tables
  flow pgbench_accounts aid "aid, bid, abalance, filler"
  flow pgbench_tellers tid "tid, bid, tbalance, filler"
  flow pgbench_branches bid "bid, bbalance, filler"
  flow pgbench_history - "tid, bid, aid, delta, mtime, filler"
}

# --- measuring ---

# CPU seconds so far: the source's processes, the target's, this script's children, all others.
# Summed over processes with the children they have waited for: exact, unlike /proc/stat's ticks.
cpu_seconds() {
  local source target
  source=$(head -qn 1 "$DIR/source/postmaster.pid")
  target=$(head -qn 1 "$DIR/target/postmaster.pid")
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v roots="$source $target $$" -v tick="$(getconf CLK_TCK)" '
    BEGIN { n = split(roots, r, " "); for (i = 1; i <= n; i++) whose[r[i]] = i }
    { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2; used[pid] = $12 + $13 + $14 + $15 }
    END {
      for (pid in used) {
        for (up = pid; up > 1 && (up in parent) && !(up in whose); up = parent[up]) ;
        sum[(up in whose) ? whose[up] : 4] += used[pid]
      }
      printf "%.2f %.2f %.2f %.2f\n", sum[1] / tick, sum[2] / tick, sum[3] / tick, sum[4] / tick
    }'
}

# timed NAME AMOUNT COMMAND...: one row of results. AMOUNT is what the rate counts: rows, changes.
timed() {
  local name=$1 amount=$2 before after start end
  shift 2
  before=$(cpu_seconds)
  start=$EPOCHREALTIME
  "$@"
  end=$EPOCHREALTIME
  after=$(cpu_seconds)
  record "$name" "$amount" "$(awk "BEGIN { printf \"%.3f\", $end - $start }")" "$before $after"
}
# record NAME AMOUNT SECONDS [what cpu_seconds said before and after]
# A row: round, name, amount, seconds, cpu of source, target, the contender itself, others' cores
record() {
  echo "$ROUND $1 $2 $3 ${4:-0 0 0 0 0 0 0 0}" |
    awk '{ printf "%s,%s,%s,%.3f,%.2f,%.2f,%.2f,%.2f\n", $1, $2, $3, $4, $9 - $5, $10 - $6, $11 - $7, ($4 > 0) ? ($12 - $8) / $4 : 0 }' >>"$RESULTS"
  tail -1 "$RESULTS" | awk -F, '{ printf "  round %s  %-24s %9.2f s %12.0f/s  cpu %.1f + %.1f + %.1f s  others %.2f%s\n",
    $1, $2, $4, ($4 > 0) ? $3 / $4 : 0, $5, $6, $7, $8, ($8 > 0.3) ? " !" : "" }' >&2
}

# rounds CONTENDER...: run_CONTENDER of each, every second round in the opposite order
rounds() {
  local contender order
  for ((ROUND = 1; ROUND <= OPT_runs; ROUND++)); do
    order=("$@")
    [ $((ROUND % 2)) = 1 ] || mapfile -t order < <(printf '%s\n' "$@" | tac)
    for contender in "${order[@]}"; do
      [[ -n $OPT_only && ! $contender =~ $OPT_only ]] || "run_$contender"
    done
  done
}
ROUND=1

# report REFERENCE [PATTERN]: a line a contender (of those that match): median, range, rate, how
# many times the reference's speed that is, and mean CPU seconds of source, target, contender.
report() {
  awk -F, -v reference="$1" -v pattern="${2:-.}" '
    function median(name,   i, j, k, t) {
      k = count[name]
      for (i = 2; i <= k; i++) for (j = i; j > 1 && s[name, j] < s[name, j - 1]; j--) {
        t = s[name, j]; s[name, j] = s[name, j - 1]; s[name, j - 1] = t }
      return (k % 2) ? s[name, (k + 1) / 2] : (s[name, k / 2] + s[name, k / 2 + 1]) / 2
    }
    $2 ~ pattern || $2 == reference {
      if (!($2 in count)) order[++n] = $2
      s[$2, ++count[$2]] = $4; amount[$2] = $3; others[$2] += $8
      for (i = 1; i <= 3; i++) cpu[$2, i] += $(i + 4) }
    END {
      if (!n) exit
      printf "%-24s %9s %9s %9s %5s %11s %6s  %-20s %6s\n", "name", "median s", "min s", "max s", "runs", "per second", "ratio", "cpu s: from, to, own", "others"
      base = (reference in count) ? median(reference) : 0
      for (i = 1; i <= n; i++) { name = order[i]; k = count[name]; m = median(name)
        ratio = (base && m) ? sprintf("%.2f", (amount[name] / m) / (amount[reference] / base)) : "-"
        printf "%-24s %9.2f %9.2f %9.2f %5d %11.0f %6s  %6.1f %6.1f %6.1f %6.2f\n", name, m, s[name, 1], s[name, k], k,
          m ? amount[name] / m : 0, ratio, cpu[name, 1] / k, cpu[name, 2] / k, cpu[name, 3] / k, others[name] / k }
    }' "$RESULTS"
}

# --- begin and end ---

bench_close() {
  local status=$?
  trap - EXIT
  if [ -n "$RUN_PID" ]; then kill "$RUN_PID" 2>/dev/null || true; wait "$RUN_PID" 2>/dev/null || true; fi
  stop_server source
  stop_server target
  [ -n "$OPT_dir" ] || rm -rf "$DIR"
  exit "$status"
}

bench_open() { # bench_open NAME ARGUMENTS
  local name=$1
  shift
  read_options "$@"
  find_servers
  build_program
  DIR=${OPT_dir:-$(mktemp -d "${TMPDIR:-/tmp}/pgcrossfade-bench.XXXXXX")}
  mkdir -p "$DIR/log"
  DIR=$(cd "$DIR" && pwd)
  [ ${#DIR} -le 80 ] || die "$DIR: too long a path for a socket"
  chmod 755 "$DIR"
  [ "$(id -u)" != 0 ] || chown postgres "$DIR" "$DIR/log"
  trap bench_close EXIT
  trap 'exit 130' INT TERM
  RESULTS=$DIR/$name.csv
  : >"$RESULTS"
  make_server source
  make_server target
  start_server source
  start_server target
  echo "$name: $("$PGBIN/postgres" --version), $(nproc) cores, $(date -u +%FT%TZ)"
}
