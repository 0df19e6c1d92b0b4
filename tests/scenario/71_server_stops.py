"""Either server is stopped at once (immediate mode) at random moments of every phase.

The writers go on meanwhile, as clients do: when the source is gone they connect again.
"""
import collections
import time

from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.migration import EXIT_UNREACHABLE
from harness.processes import Failed, until

ROUNDS = (3, 20)

PARTS = ("copy", "copy", "index", "stream", "stream", "cutover", "cutover")
FEW = ("copy", "stream", "cutover")


def keep_running(migration):
    """A run that was never up before a server went may be started again; any other waits."""
    if migration.running:
        return
    if migration.process is not None and migration.process.returncode != EXIT_UNREACHABLE:
        raise Failed(f"run ended with exit code {migration.process.returncode}")
    migration.start()


def until_there(s, migration, part, writers):
    keep_running(migration)
    if part == "copy":
        wanted = s.rng.randrange(20)
        until(lambda: migration.chunks_copied() >= wanted or migration.phase() == "stream",
              f"{wanted} chunks", alive=migration.must_run)
    elif part == "index":
        until(lambda: migration.phase() == "stream" or "building" in activity(s, migration),
              "indexes are built", alive=migration.must_run)
    else:
        migration.wait_for("stream" if part == "stream" else "lag-zero")
        writers.more(s.rng.randrange(5, 30))


def activity(s, migration):
    if migration.phase() is None:
        return ""
    rows = s.target.rows("SELECT activity FROM pgcrossfade.service WHERE migration = %s",
                         [migration.name])
    return rows[0][0] if rows else ""


def stop_one(s, migration, part, writers, chunks):
    """Stops a server at a random moment; returns which, and in which phase that was."""
    server = s.rng.choice(s.servers)
    until_there(s, migration, part, writers)
    asked = migration.begin("cutover") if part == "cutover" else None
    time.sleep(s.rng.random() * 0.2)
    phase = migration.phase()
    server.restart("immediate")
    keep_running(migration)
    if asked is not None:
        migration.finish(asked, expect=None)
        migration.settled(alive=lambda: keep_running(migration))
    chunks.check()
    return f"{server.name} in {phase}"


def one_migration(s, name, parts):
    bank.create(s)
    migration, stopped = s.migration(bank.FLOWS, name=name), collections.Counter()
    chunks = bank.Chunks(migration)
    with s.writers(bank.TABLES, count=2, rate=60, comes_back=True) as writers:
        for part in parts:
            if migration.phase() == "switched":
                break
            stopped[stop_one(s, migration, part, writers, chunks)] += 1
        writers.stop()
    if migration.settled(alive=lambda: keep_running(migration)) == "stream":
        drain(migration)
        must_equal(migration)
        migration.wait_for("lag-zero")
        migration.command("cutover")
    bank.must_be_switched(s, migration)
    migration.command("complete")
    migration.ended(0)
    return stopped


def scenario(s):
    stopped = collections.Counter()
    while stopped.total() < s.rounds:
        parts = (FEW if s.rounds <= len(FEW) else PARTS)[:s.rounds - stopped.total()]
        stopped += one_migration(s, f"round{stopped.total()}", parts)
    print(f"{stopped.total()} immediate stops: {dict(stopped)}")
