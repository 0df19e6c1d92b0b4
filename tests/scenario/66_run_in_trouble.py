"""A run that cannot go on for now says so in status: why, since when, how often, when it tries again."""
import contextlib
import json
import os
import signal

import psycopg2
import psycopg2.extras

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_UNREACHABLE, EXIT_USAGE
from harness.processes import Failed
from harness.processes import until as wait_until
from harness.proxy import Proxy

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, n int);
INSERT INTO public.a SELECT i, i FROM generate_series(1, 3000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint);
"""

FLOW = Flow("public.a", "app.a", key=("id",),
            select="SELECT id::bigint AS id, n::bigint AS n FROM old")

SECRET = "hunter2"  # in the environment of all of them, where libpq takes it from

START = """
START_REPLICATION SLOT %s LOGICAL 0/0 (%s)
"""


def until(condition, what, seconds=30, **options):
    """Each look is a program that starts and connects: not too many."""
    return wait_until(condition, what, seconds, every=0.15, **options)


def look(migration):
    """status --json, whatever answers."""
    outcome = migration.command("status", "--json", expect=None)
    if SECRET in outcome.text:
        raise Failed(f"status tells a secret:\n{outcome.text}")
    return json.loads(outcome.out) if outcome.code in (0, EXIT_UNREACHABLE) else {}


def retrying(migration):
    return look(migration).get("retrying")


def waits(migration, of, phase="stream"):
    """What status says of a run that waits: it is alive, and its error has `of`."""
    def seen():
        status = look(migration)
        trouble = status.get("retrying")
        return trouble and of in trouble["error"] and status
    status = until(seen, f"status says that run waits: {of}", 30, alive=migration.must_run)
    trouble = status["retrying"]
    if not status["running"] or status["phase"] != phase or status["pid"] != migration.process.pid:
        raise Failed(f"status has {status}")
    if "\n" in trouble["error"] or trouble["tries"] < 1 or not 0 <= trouble["next_try_seconds"] <= 15:
        raise Failed(f"status has {trouble}")
    if status["lag_seconds"] is not None or status["bottleneck"]:
        raise Failed(f"status has figures of before: {status}")
    return trouble


def works(migration):
    """The trouble disappears once the run works again."""
    status = until(lambda: (status := look(migration)).get("running") and not status["retrying"]
                   and status["pid"] == migration.process.pid and status,
                   "the trouble is over", 30, alive=migration.must_run)
    if status["error"]:
        raise Failed(f"status has {status}")


def says(migration, *words, expect=0, line=()):
    outcome = migration.command("status", *line, expect=expect)
    if missing := [word for word in words if word not in outcome.text]:
        raise Failed(f"status does not say {missing}:\n{outcome.text}")


def source_gone(s, migration):
    """Alive and waiting, or dead: status tells them apart."""
    s.source.server.stop()
    first = waits(migration, "connect to the source")
    later = until(lambda: (now := retrying(migration)) and now["tries"] >= first["tries"] + 2 and now,
                  "more tries", 30, alive=migration.must_run)
    if later["since"] != first["since"] or later["seconds"] <= first["seconds"]:
        raise Failed(f"it began at {first}, and later at {later}")
    says(migration, "phase      stream", "waiting to try again", f"pid {migration.process.pid}",
         "error      connect to the source", later["since"], "source     does not answer",
         expect=EXIT_UNREACHABLE)
    watching = migration.begin("status", "--watch=0.2")
    line = watching.stdout.readline()
    if ' retrying="connect to the source' not in line or " tries=" not in line:
        raise Failed(f"--watch says {line}")
    watching.send_signal(signal.SIGINT)
    migration.finish(watching)

    migration.kill9()
    status = until(lambda: not (status := look(migration))["running"] and status, "it is dead")
    if status["retrying"]:
        raise Failed(f"a dead run is retrying: {status}")
    says(migration, "run        not running; the last one was pid", "it was trying again",
         expect=EXIT_UNREACHABLE)

    # one that comes up meanwhile does not stay, and says why
    migration.start()
    migration.ended(EXIT_UNREACHABLE)
    if not (look(migration)["error"] or "").startswith("connect to the source"):
        raise Failed(f"status has {look(migration)}")
    s.source.server.start()
    migration.start()
    works(migration)


def target_gone(s, migration):
    """The ledger is there: status says that it cannot be read."""
    s.target.server.stop()
    outcome = migration.command("status", expect=EXIT_UNREACHABLE)
    if "connect to the target: " not in outcome.err or "unknown: phase" not in outcome.out:
        raise Failed(f"status says {outcome.text}")
    status = look(migration)
    if status["target"]["answers"] or "phase" in status or not status["source"]["answers"]:
        raise Failed(f"status has {status}")
    migration.must_run()
    s.target.server.start()
    works(migration)


@contextlib.contextmanager
def slot_taken(s, migration):
    """The slot is read by somebody else: by the pid that is given."""
    options = {"pgoutput": f"proto_version '1', publication_names '{migration.publication}'",
               "wal2json": "\"format-version\" '2'"}[migration.decoder]
    reader = psycopg2.connect(s.source.conninfo,
                              connection_factory=psycopg2.extras.LogicalReplicationConnection)
    reader.cursor().start_replication_expert(START % (migration.slot, options))
    try:
        yield reader.info.backend_pid
    finally:
        reader.close()


def slot_active(s, migration):
    """The run comes up and fails at its first step, again and again: one trouble, not many."""
    migration.terminate()
    with slot_taken(s, migration) as pid:
        migration.start()
        first = waits(migration, f"active for PID {pid}")
        later = until(lambda: (now := retrying(migration)) and now["tries"] >= first["tries"] + 2 and now,
                      "more tries", 30, alive=migration.must_run)
        if later["since"] != first["since"]:
            raise Failed(f"it began at {first}, and later at {later}")
    works(migration)


def own_lock(s, migration, proxy):
    """Its lost connection lives on at the target: the run waits, and status says for what."""
    proxy.forget()
    waits(migration, "a lost connection of this run's own")
    held, = (run for run in look(migration)["runs"] if run["holds"])
    says(migration, f"backend {held['backend_pid']} at the target")
    s.target.run("SELECT pg_terminate_backend(%s)", [held["backend_pid"]])
    works(migration)


def another_waits(s, migration):
    """A second run is seen as it waits for the first to go; it is not taken for the first."""
    first, second = migration.process, migration.begin("run")
    status = until(lambda: len((status := look(migration))["runs"]) == 2 and status, "two runs", 30)
    if [run["holds"] for run in status["runs"]] != [True, False] or status["pid"] != first.pid:
        raise Failed(f"status has {status}")
    says(migration, "another run waits for it to end (backend ")
    migration.kill9()
    until(lambda: look(migration)["pid"] == second.pid, "the second run goes on", 30)
    if len(look(migration)["runs"]) != 1:
        raise Failed(f"status has {look(migration)['runs']}")
    second.send_signal(signal.SIGTERM)
    migration.finish(second)
    migration.start()
    works(migration)


def starting(s, migration):
    """Before the ledger knows the migration: it is not unknown while a run checks it."""
    says(migration, "does not know migration demo", expect=EXIT_USAGE)
    watching = watched_before(migration)
    blocker = s.source.connect()
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE public.a IN ACCESS EXCLUSIVE MODE")
    migration.start()
    status = until(lambda: (status := look(migration)).get("source", {}).get("waiting_for") and status,
                   "status sees the run and its wait", 30, alive=migration.must_run)
    wait, = status["source"]["waiting_for"]
    if status["phase"] is not None or not status["running"] or wait["object"] != "public.a" or (
            wait["held_by"]["pid"] != blocker.info.backend_pid):
        raise Failed(f"status has {status}")
    says(migration, "none yet", "starting, and checking the migration", "waiting    at the source")
    if s.target.value("SELECT to_regclass('pgcrossfade.ledger')") is not None:
        raise Failed("something is created before the check has passed")
    blocker.close()
    migration.wait_for("lag-zero")
    wait_until(lambda: " phase=stream running=true " in watching.stdout.readline(), "the watch sees the run", every=0)
    watching.send_signal(signal.SIGINT)
    migration.finish(watching)


def watched_before(migration):
    """--watch waits for a migration that does not exist yet."""
    json_lines = migration.begin("status", "--watch=0.2", "--json")
    first = json.loads(json_lines.stdout.readline() or "{}")
    json_lines.send_signal(signal.SIGINT)
    migration.finish(json_lines)
    watching = migration.begin("status", "--watch=0.2")
    line = watching.stdout.readline()
    if first.get("phase", "") is not None or first["running"] or " phase=none running=false" not in line:
        raise Failed(f"--watch says {first}, {line}")
    return watching


def check_failed(s, migration):
    """A restart whose check fails says which finding it is, and where all are."""
    migration.terminate()
    s.target.run("ALTER TABLE app.a RENAME n TO m; ALTER TABLE app.a ALTER m TYPE text")
    migration.start()
    migration.ended(EXIT_USAGE)
    status = look(migration)
    if status["running"] or status["retrying"] or '"n"' not in status["error"]:
        raise Failed(f"status has {status}")
    says(migration, "app.a", f"pgcrossfade check {migration.file}", status["error_since"])
    s.target.run("ALTER TABLE app.a ALTER m TYPE bigint USING m::bigint; ALTER TABLE app.a RENAME m TO n")
    migration.start()
    works(migration)


def scenario(s):
    os.environ["PGPASSWORD"] = SECRET
    s.source.run(OLD)
    s.target.run(NEW)
    with Proxy(s.target, s.directory) as proxy:
        migration = s.migration([FLOW], target=proxy.database)
        starting(s, migration)
        slot_active(s, migration)
        own_lock(s, migration, proxy)
        another_waits(s, migration)
        check_failed(s, migration)
        source_gone(s, migration)
        s.source.run("UPDATE public.a SET n = n + 1")
        target_gone(s, migration)
        drain(migration)
        must_equal(migration)
        migration.terminate()
