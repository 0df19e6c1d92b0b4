"""kill -9 of run at a dozen points over copy, stream and cutover: nothing lost, nothing twice.

The journal has no key at the target, so a transaction applied twice shows as a doubled row.
"""
import psycopg2

from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.kills import killed_in_stream
from harness.processes import Failed, until


def killed_in_copy(s, migration):
    """Four points: before the first chunk, and with some more of them done each time."""
    migration.start()
    until(lambda: migration.phase() == "copy", "copy begins", alive=migration.must_run)
    migration.kill9()
    for more in (1, 4, 5):
        migration.start()
        wanted = migration.chunks_copied() + more
        until(lambda: migration.chunks_copied() >= wanted or migration.phase() == "stream",
              f"{wanted} chunks", alive=migration.must_run)
        migration.kill9()


LOCKED = """
SELECT count(*) > 0 FROM pg_locks
WHERE relation = 'public.account'::regclass AND granted
  AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""

SWITCHED = "SELECT migration FROM pgcrossfade.switched"


def killed_in_cutover(s, migration, moment):
    """Wherever that lands: either the old tables take writes again, or the switch is done."""
    if not migration.running:
        migration.start()
    migration.wait_for("lag-zero")
    asked = migration.begin("cutover")
    until(lambda: moment() or migration.phase() == "switched", "the moment in the cutover",
          every=0.001, alive=migration.must_run)
    migration.kill9()
    migration.start()
    outcome = migration.finish(asked, expect=None)
    phase = migration.settled(migration.must_run)
    print(f"killed in the cutover: phase {phase}, cutover said {outcome.code}")
    if phase == "stream":
        s.source.run("UPDATE public.account SET balance = balance + 1 WHERE id = 1")
    return phase


def cut_over(s, migration):
    """Before the locks, under them, and just past the point of no return."""
    for moment in (lambda: migration.phase() == "cutover", lambda: s.source.value(LOCKED)):
        if killed_in_cutover(s, migration, moment) == "switched":
            return
    if killed_in_cutover(s, migration, lambda: s.source.rows(SWITCHED)) != "switched":
        raise Failed("a committed switch was forgotten")


def scenario(s):
    bank.create(s)
    migration = s.migration(bank.FLOWS)
    with s.writers(bank.TABLES, count=2, rate=80) as writers:
        writers.more(20)
        killed_in_copy(s, migration)
        killed_in_stream(s, migration, writers, (5, 20, 60, 150))
        writers.stop()
    migration.start()
    drain(migration)
    must_equal(migration)

    cut_over(s, migration)
    must_equal(migration)
    migration.kill9()
    migration.start()
    migration.wait_for("switched")
    must_equal(migration)
    try:
        s.source.run("UPDATE public.account SET balance = 0 WHERE id = 1")
    except psycopg2.Error:
        return
    raise Failed("the old table takes writes after the switch")
