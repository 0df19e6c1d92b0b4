"""Either server goes away, politely or not, and comes back: the stream goes on, exactly."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_UNREACHABLE
from harness.processes import Failed
from harness.writers import Table

OLD = """
CREATE TABLE public.account (id int PRIMARY KEY, n int);
CREATE TABLE public.journal (account int, n int);
INSERT INTO public.account SELECT i, i FROM generate_series(1, 3000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.account (id bigint PRIMARY KEY, n bigint);
CREATE TABLE app.journal (account bigint, n bigint);
"""

FLOWS = [
    Flow("public.account", "app.account", key=("id",), select="""
        SELECT id::bigint AS id, n::bigint AS n FROM old
    """),
    Flow("public.journal", "app.journal", insert_only=True, select="""
        SELECT account::bigint AS account, n::bigint AS n FROM old
    """),
]

TABLES = [
    Table("public.account", {"id": values.up_to(4000)}, {"n": values.maybe(values.small)}),
    Table("public.journal", {"account": values.up_to(10)}, {"n": values.small}, unique=False,
          changes=("insert",)),
]


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
    s.source.run(OLD)
    s.target.run(NEW)
    source, target = s.servers
    migration = s.migration(FLOWS)
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
