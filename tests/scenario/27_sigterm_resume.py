"""SIGTERM ends run cleanly in any phase, and the next run goes on; two never run at once."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until
from harness.writers import Table

OLD = """
CREATE TABLE public.thing (id int PRIMARY KEY, body text);
INSERT INTO public.thing
SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 100000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.thing (id bigint PRIMARY KEY, body text);
"""

FLOWS = [Flow("public.thing", "app.thing", key=("id",), select="""
    SELECT id::bigint AS id, body FROM old
""")]

THING = Table("public.thing", {"id": values.up_to(110000)}, {"body": values.maybe(values.text)})


def second_run_is_refused(migration):
    outcome = migration.command("run", expect=None, seconds=20)
    if outcome.code == 0:
        raise Failed("a second run of the same migration was not refused")
    migration.must_run()


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    with s.writers([THING], count=2) as writers:
        for chunks in (1, 5):
            migration.start()
            wanted = migration.chunks_copied() + chunks
            until(lambda: migration.chunks_copied() >= wanted, f"{wanted} chunks",
                  alive=migration.must_run)
            migration.terminate(0)
        for _ in range(2):
            migration.start()
            migration.wait_for("stream")
            writers.more(80)
            second_run_is_refused(migration)
            migration.terminate(0)
            writers.more(80)
        writers.stop()
    if s.source.value("SELECT count(*) FROM pg_stat_activity"
                      " WHERE application_name LIKE 'pgcrossfade%'"):
        raise Failed("connections outlive the run")
    migration.start()
    drain(migration)
    must_equal(migration)
