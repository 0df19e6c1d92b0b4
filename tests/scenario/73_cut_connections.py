"""Connections end on either side, one by one or all, or go silent: run goes on by itself.

It must not be started again: a lost connection is its daily business.
"""
import contextlib
import time

from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed, until
from harness.proxy import Proxy

ROUNDS = (3, 100)  # backends terminated, in copy and stream

OURS = """
SELECT pid, coalesce(backend_type, '?') FROM pg_stat_activity
 WHERE application_name LIKE 'pgcrossfade%' AND pid <> pg_backend_pid()
   AND datname = current_database() ORDER BY pid
"""

BEATS = "SELECT FROM pgcrossfade.service WHERE beat_at > %s AND error IS NULL"
AT_WORK = 0.8  # of the backends; the others may belong to a run that comes up

# longer than the source waits for a sign of life
SENDER_TIMEOUT, STALL = 1, 2.5


def terminate_one(s):
    """A backend of run, of any kind, on either side; returns what it was."""
    database = s.rng.choice([s.source, s.target])
    ours = until(lambda: database.rows(OURS), "run connects again", 60)
    pid, kind = s.rng.choice(ours)
    database.run("SELECT pg_terminate_backend(%s)", [pid])
    return f"{database.name} {kind}"


def until_at_work(s, migration):
    """run is up and at work. Where it was hit while coming up, it waits ever longer before a try."""
    now = s.target.value("SELECT clock_timestamp()")
    until(lambda: s.target.rows(BEATS, [now]), "a sign of life", 60, alive=migration.must_run)


def terminate(s, migration, writers, rounds):
    ended = {}
    for _ in range(rounds):
        if s.rng.random() < AT_WORK:
            until_at_work(s, migration)
        time.sleep(s.rng.random() * 0.3)
        what = terminate_one(s)
        ended[what] = ended.get(what, 0) + 1
        migration.must_run()
        if migration.phase() == "stream":
            writers.more(s.rng.randrange(1, 10))
    print(f"terminated: {ended}")


def goes_on(migration, writers, what):
    print(what)
    writers.more(20)
    drain(migration)
    migration.must_run()


def walsender(s, migration):
    return s.source.value("SELECT coalesce(active_pid, 0) FROM pg_replication_slots"
                          " WHERE slot_name = %s", [migration.slot])


def cut_all(s, migration, writers, proxies):
    for proxy in proxies:
        proxy.cut()
    goes_on(migration, writers, "cut on both sides")


def stall_all(s, migration, writers, proxies):
    """Longer than the source waits for a sign of life; the source of all that ends there."""
    before = walsender(s, migration)
    for proxy in proxies:
        proxy.stall()
    writers.more(20)
    time.sleep(STALL)
    for proxy in proxies:
        proxy.resume()
    goes_on(migration, writers, f"stalled for {STALL} s")
    if walsender(s, migration) == before:
        raise Failed("the stall was too short for the server: the test shows nothing")


def half_open_stream(s, migration, writers, proxies):
    """The stream's connection is gone for the server, and nobody tells us."""
    since = len(migration.log_text())
    proxies[0].abandon(lambda first: b"replication\0database" in first)
    goes_on(migration, writers, "half open stream")
    if "event=retry" not in migration.log_text()[since:]:
        raise Failed("nothing was said of the lost stream")


def scenario(s):
    s.source.run(f"ALTER SYSTEM SET wal_sender_timeout = '{SENDER_TIMEOUT}s'")
    s.source.run("SELECT pg_reload_conf()")
    bank.create(s)
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(database, s.directory))
                   for database in (s.source, s.target)]
        source, target = (proxy.database for proxy in proxies)
        migration = s.migration(bank.FLOWS, source=source, target=target)
        writers = stack.enter_context(s.writers(bank.TABLES, count=2, rate=60))
        migration.start()
        until(lambda: migration.chunks_copied() > 0, "a chunk", alive=migration.must_run)
        terminate(s, migration, writers, s.rounds // 2)
        migration.wait_for("lag-zero")
        terminate(s, migration, writers, s.rounds - s.rounds // 2)
        for maltreat in (cut_all, stall_all, half_open_stream):
            maltreat(s, migration, writers, proxies)
        writers.stop()
        drain(migration)
        must_equal(migration)
        migration.finish_run()
