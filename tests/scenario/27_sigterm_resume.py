"""SIGTERM ends run cleanly in any phase, and the next run goes on; two never run at once."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
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
    """It waits a while for the first, which may be a killed one whose lock lingers."""
    outcome = migration.command("run", expect=EXIT_USAGE)
    if "another" not in outcome.text:
        raise Failed(f"the refusal does not name the reason:\n{outcome.text}")
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
        for _ in range(3):
            migration.start()
            migration.wait_for("stream")
            writers.more(80)
            migration.terminate(0)
            writers.more(80)
        writers.stop()
    if s.source.value("SELECT count(*) FROM pg_stat_activity"
                      " WHERE application_name LIKE 'pgcrossfade%'"):
        raise Failed("connections outlive the run")
    migration.start()
    migration.wait_for("lag-zero")
    second_run_is_refused(migration)
    drain(migration)
    must_equal(migration)
