"""Either server goes away, politely or not, and comes back: the stream goes on, exactly."""
from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.migration import EXIT_UNREACHABLE
from harness.processes import Failed

TABLES = bank.tables(4000)


def gone_and_back(migration, server, how):
    print(f"{server.name}: {how}")
    if how == "crash":
        server.crash()
        server.start()
    else:
        server.restart(how)
    # a run that gave up before the server was back may be started again
    if not migration.running:
        code = migration.process.returncode
        if code != EXIT_UNREACHABLE:
            raise Failed(f"run ended with exit code {code}")
        migration.start()


def scenario(s):
    bank.create(s, accounts=3000, entries=0)
    source, target = s.servers
    migration = s.migration(bank.FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    for server, how in ((target, "fast"), (target, "crash"), (source, "fast"), (source, "crash")):
        with s.writers(TABLES, count=2) as writers:
            writers.more(50)
            if server is target:
                gone_and_back(migration, server, how)
                writers.more(50)
            writers.stop()
        if server is source:
            gone_and_back(migration, server, how)
        drain(migration)
        must_equal(migration)
