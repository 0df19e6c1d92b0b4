"""A large backlog is read by SQL before the stream takes over: the same rows come out.

Built while no run is up: random changes under a transaction that was open before them, one of
many rows in the middle. The run that drains it is killed and cut off meanwhile. The journal has
no key at the target, so a transaction applied twice shows. What the server has no room to put aside
is streamed.
"""
import os
import signal

from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed, until

TABLES = bank.tables(30000)

SMALL = """
DO $$ BEGIN
  FOR i IN 1 .. %s LOOP
    UPDATE public.account SET balance = i, note = repeat(md5(i::text), 40)
     WHERE id = i * 7919 %% 20000 + 1;
    INSERT INTO public.journal VALUES (i, 1, repeat('j', 1000));
    COMMIT;
  END LOOP;
END $$
"""

# Little WAL, and more than a step's work_mem when it is decoded; and what makes it a backlog.
LARGE = "INSERT INTO public.account SELECT i, i, repeat('z', 1000000) FROM generate_series(900001, 900080) i"
MUCH = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 17000000))"

DRAINING = """
SELECT pid FROM pg_stat_activity
WHERE application_name LIKE 'pgcrossfade%%' AND query LIKE 'COPY (SELECT data FROM%%' AND state = 'active'
"""


def build(s, writers):
    """Some 40 MB of WAL; the open transaction is part of it, and ends last."""
    with s.source.connect() as before:
        with before.cursor() as cursor:
            cursor.execute("INSERT INTO public.journal VALUES (0, 0, 'open before the backlog')")
            writers.more(50)
            s.source.run(SMALL % 4000)
            s.source.run("INSERT INTO public.account SELECT i, i, repeat(md5(i::text), 4)"
                         " FROM generate_series(100001, 130000) i")
            s.source.run(SMALL % 4000)
            s.source.run("UPDATE public.account SET id = id + 100000 WHERE id BETWEEN 100001 AND 110000"
                         " AND id % 5 = 0")
            s.source.run("INSERT INTO public.journal SELECT i, 2, repeat('k', 300)"
                         " FROM generate_series(1, 20000) i")
            writers.more(50)
            cursor.execute("INSERT INTO public.journal VALUES (0, 1, 'and closed behind it')")
        before.commit()
    before.close()


def in_drain(s, migration):
    """Starts a run; the backend that reads the backlog for it."""
    migration.start()
    return until(lambda: s.source.rows(DRAINING), "the backlog is read", every=0.002,
                 alive=migration.must_run)[0][0]


def applied(s):
    return s.target.value("SELECT changes FROM pgcrossfade.progress")


def lag_is_unknown(migration, backend):
    """While a step runs and nothing of the backlog is at hand: how old is what it will bring?"""
    def seen():
        status = migration.status()
        return status["pid"] == migration.process.pid and status["lag_bytes"] and status

    os.kill(backend, signal.SIGSTOP)
    try:
        until(seen, "the run shows a sign of life", alive=migration.must_run)
        until(lambda: seen()["lag_seconds"] is None, "status does not know the lag in seconds", 10,
              alive=migration.must_run)
    finally:
        os.kill(backend, signal.SIGCONT)


def no_room(s, migration):
    migration.terminate()
    s.source.run("ALTER ROLE postgres SET temp_file_limit = '1MB'")
    s.source.run(LARGE)
    s.source.rows(MUCH)
    migration.start()
    drain(migration)
    must_equal(migration)
    if "drain.refused reason=\"temporary file size exceeds" not in migration.log_text():
        raise Failed("the server did not refuse the drain")


def scenario(s):
    migration = bank.stopped(s, accounts=20000, entries=0)
    with s.writers(TABLES, count=2) as writers:
        build(s, writers)
        print(f"backlog: {bank.behind(s, migration) / 1e6:.0f} MB of WAL")

        lag_is_unknown(migration, in_drain(s, migration))
        migration.kill9()

        s.source.run("SELECT pg_terminate_backend(%s)", [in_drain(s, migration)])
        before = applied(s)
        until(lambda: applied(s) > before, "the drain goes on", alive=migration.must_run)
        migration.kill9()

        print(f"left: {bank.behind(s, migration) / 1e6:.0f} MB, {applied(s)} changes applied")
        migration.start()
        writers.more(100)
        migration.wait_for("lag-zero")
        writers.more(100)
        writers.stop()
    drain(migration)
    must_equal(migration)
    if "drain.refused" in migration.log_text():
        raise Failed("the server refused the drain")
    left = s.source.rows("SELECT slot_name FROM pg_replication_slots")
    if left != [(migration.slot,)]:
        raise Failed(f"slots left: {left}")
    no_room(s, migration)
