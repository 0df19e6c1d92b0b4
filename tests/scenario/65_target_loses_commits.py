"""The target stops at once with commits that are not on disk: data and progress fall back together.

The stream does not wait for the target's disk; the source is told only what is on it. The target's
WAL writer is made slow, so that a second of commits is in memory only. The journal has no key at
the target: a transaction applied twice shows, as does one that is lost.
"""
from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed, until

TABLES = bank.tables(800)


def progress(s):
    return s.target.row("SELECT lsn::text, transactions FROM pgcrossfade.progress")


def stop_target(s, migration):
    """At once, while it has commits in memory; how many of them are gone?"""
    before = progress(s)[1]
    until(lambda: progress(s)[1] > before + 50, "something is applied", alive=migration.must_run)
    applied = progress(s)[1]
    s.servers[-1].restart("immediate")
    return applied - progress(s)[1]


def scenario(s):
    bank.create(s, accounts=500, entries=0)
    s.target.run("ALTER SYSTEM SET wal_writer_delay = '10s'")
    s.target.run("SELECT pg_reload_conf()")
    migration = s.migration(bank.FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    lost = []
    with s.writers(TABLES, count=2, rate=200) as writers:
        for _ in range(3):
            lost.append(stop_target(s, migration))
            writers.more(20)
        # the run that comes up after a kill must not take the row for what is on disk
        for _ in range(2):
            writers.more(50)
            migration.kill9()
            migration.start()
            migration.wait_for("stream")
            lost.append(stop_target(s, migration))
        writers.more(50)
        writers.stop()
    print(f"transactions that the target lost: {lost}")
    if max(lost) <= 0:
        raise Failed("no stop took a commit back: this shows nothing")
    drain(migration)
    must_equal(migration)
    migration.command("cutover")
    must_equal(migration)
