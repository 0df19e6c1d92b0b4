"""status names what is true at that moment: blockers, lag, WAL kept, builds, a server that is down."""
import json
import signal

from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD, EXIT_UNREACHABLE
from harness.processes import Failed, until

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, n int, note text);
INSERT INTO public.a SELECT i, i, repeat('x', 100) FROM generate_series(1, 20000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint, note text);
CREATE INDEX by_n ON app.a (n);
CREATE INDEX by_note ON app.a (note);
"""

FLOW = Flow("public.a", "app.a", key=("id",),
            select="SELECT id::bigint AS id, n::bigint AS n, note FROM old")


def looks_right(what, value, at_least, at_most):
    if not at_least <= value <= at_most:
        raise Failed(f"{what} is {value}, not within {at_least} to {at_most}")


def look(migration):
    """status, or {} while there is none yet."""
    outcome = migration.command("status", "--json", expect=None)
    return json.loads(outcome.out) if outcome.code == 0 else {}


def backend_pid(session):
    return session.info.backend_pid


def blocked_copy(s, migration):
    """A lock on a new table holds up the copy: status names who holds it, with what."""
    blocker = s.target.connect()
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE app.a IN ROW EXCLUSIVE MODE")
    migration.start()
    seen = until(lambda: (status := look(migration)).get("target", {}).get("waiting_for")
                 and status, "status sees the lock", 30,
                 alive=migration.must_run)
    wait = seen["target"]["waiting_for"][0]
    if wait["object"] != "app.a" or wait["held_by"]["pid"] != backend_pid(blocker):
        raise Failed(f"status blames {wait}")
    if "LOCK TABLE app.a" not in wait["held_by"]["statement"] or wait["held_by"]["user"] != "postgres":
        raise Failed(f"status describes the blocker as {wait['held_by']}")
    said = migration.command("status").out
    if f"pid {backend_pid(blocker)}" not in said:
        raise Failed(f"in words the blocker is not named:\n{said}")
    blocker.close()


def chunks_are_the_ledgers(s, migration):
    status = migration.status()
    done, total, rows = s.target.row(
        "SELECT count(lg), count(*), sum(rows) FROM pgcrossfade.chunk"
        " LEFT JOIN pgcrossfade.chunk_copied USING (migration, relation, no)")
    table, = status["tables"]
    got = (table["chunks_done"], table["chunks"], table["rows"])
    if got != (done, total, rows) or status["rows_copied"] != 20000 or total < 5:
        raise Failed(f"status has {got}, the ledger {(done, total, rows)}")
    if status["definitions"]["saved"] != 3 or status["definitions"]["left"] != 0:
        raise Failed(f"definitions are {status['definitions']}")


def lag_is_the_servers(s, migration):
    """With the target's rows held, what is committed is lag, in bytes as the server counts."""
    drain(migration)
    holder = s.target.connect()
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM app.a WHERE id = 1 FOR UPDATE")
    s.source.run("UPDATE public.a SET note = repeat('y', 50)")
    wait = until(lambda: (status := migration.status())["target"]["waiting_for"] and status,
                 "status sees the row's lock", 30)["target"]["waiting_for"][0]
    if wait["held_by"]["pid"] != backend_pid(holder) or wait["held_by"]["state"] != "idle in transaction":
        raise Failed(f"status blames {wait}")

    def diff():
        return s.source.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)",
                              [migration.status()["applied_lsn"]])
    before = diff()  # nothing is applied, so that it can only grow
    status = migration.status()
    looks_right("lag in bytes", status["lag_bytes"], max(before, 1), diff())
    kept, safe = s.source.row("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn),"
                              " safe_wal_size FROM pg_replication_slots")
    looks_right("WAL kept", status["slot"]["kept_bytes"], 1, kept)
    if (status["slot"]["safe_bytes"] is None) != (safe is None):
        raise Failed(f"safe_wal_size is {safe}, status has {status['slot']}")
    holder.close()
    drain(migration)
    migration.wait_for("lag-zero")
    looks_right("changes applied", migration.status()["changes_applied"], 20000, 20000)
    rate = until(lambda: migration.status()["changes_per_second"], "a rate", 5)
    looks_right("changes a second", rate, 200, 20000)


def requests_are_listed(s, migration):
    """A cutover that cannot get its locks is a request at work, and its blocker is named."""
    blocker = s.source.connect()
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE public.a IN ROW EXCLUSIVE MODE")
    cutover = migration.begin("cutover")
    # the target is looked at first: the request may just be taken up
    status = until(lambda: (status := migration.status())["source"]["waiting_for"]
                   and [r["state"] for r in status["requests"]] == ["running"] and status,
                   "status sees the request and the cutover's lock", 30)
    if status["requests"][0]["kind"] != "cutover":
        raise Failed(f"requests are {status['requests']}")
    if status["source"]["waiting_for"][0]["held_by"]["pid"] != backend_pid(blocker):
        raise Failed(f"status blames {status['source']['waiting_for']}")
    blocker.close()
    migration.finish(cutover, expect=None)


def watch_to_the_end(migration):
    """--watch adds lines until the migration is complete; Ctrl-C ends it with 0."""
    stopped = migration.begin("status", "--watch", "0.2", "--json")
    first = stopped.stdout.readline()
    if json.loads(first)["phase"] != "switched":
        raise Failed(f"--watch --json says {first}")
    stopped.send_signal(signal.SIGINT)
    migration.finish(stopped)
    watching = migration.begin("status", "--watch=0.2")
    line = watching.stdout.readline()
    if " phase=switched " not in line:
        raise Failed(f"--watch says {line}")
    migration.command("complete")
    lines = migration.finish(watching).out.splitlines()
    if " phase=complete " not in lines[-1]:
        raise Failed(f"--watch ended with {lines[-1]}")


def servers_down(s, migration):
    """What the other server knows is still told."""
    s.source.server.stop()
    status = json.loads(migration.command("status", "--json", expect=EXIT_UNREACHABLE).out)
    if status["phase"] != "stream" or status["source"]["answers"] or status["lag_bytes"] is not None:
        raise Failed(f"with the source down status says {status}")
    s.source.server.start()
    s.target.server.stop()
    status = json.loads(migration.command("status", "--json", expect=EXIT_UNREACHABLE).out)
    if "phase" in status or status["target"]["answers"] or status["slot"]["name"] != migration.slot:
        raise Failed(f"with the target down status says {status}")
    s.target.server.start()


def wait_hears_a_new_error(s, migration):
    """An error that comes while `wait` waits is told at once, an old one is told as such."""
    s.target.run("ALTER TABLE app.a ADD CHECK (n <> 77) NOT VALID")
    waiting = migration.begin("wait", "--for", "switched")
    until(lambda: s.target.value("SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                                 " 'pgcrossfade demo' AND query LIKE 'SELECT host, pid%'"), "wait has looked")
    s.source.run("UPDATE public.a SET n = 77 WHERE id = 5")
    migration.ended(4)
    said = migration.finish(waiting, expect=EXIT_BAD, seconds=3).err
    if "the run stopped: " not in said:
        raise Failed(f"wait says {said}")
    status = migration.status()
    since = s.target.value("SELECT error_at::text FROM pgcrossfade.migration")
    if "violates check constraint" not in status["error"] or status["error_since"] != since:
        raise Failed(f"status has {status['error']} since {status['error_since']}, not {since}")
    if "none has come up since" not in migration.command("wait", "--for", "switched",
                                                         expect=EXIT_BAD).err:
        raise Failed("wait takes an old error for a new one")
    s.target.run("ALTER TABLE app.a DROP CONSTRAINT a_n_check")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration([FLOW])
    blocked_copy(s, migration)
    migration.wait_for("lag-zero")
    chunks_are_the_ledgers(s, migration)
    lag_is_the_servers(s, migration)
    wait_hears_a_new_error(s, migration)
    servers_down(s, migration)
    migration.start()
    migration.wait_for("lag-zero")
    if migration.status()["error"]:
        raise Failed("the error of the run before is still there")
    requests_are_listed(s, migration)
    migration.until_phase("switched")
    watch_to_the_end(migration)
    migration.ended(0)
