"""complete ends the migration: run exits, slot and publication go, old tables if asked."""
from harness.flow import Flow
from harness.migration import EXIT_BAD, EXIT_CHECK
from harness.processes import Failed

OLD = """
CREATE TABLE public.pair (id int PRIMARY KEY, a text, b text);
ALTER TABLE public.pair REPLICA IDENTITY FULL;
INSERT INTO public.pair SELECT i, 'a', 'b' FROM generate_series(1, 500) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.pair (id bigint PRIMARY KEY, ab text);
"""

FLOWS = [Flow("public.pair", "app.pair", key=("id",), select="""
    SELECT id::bigint AS id, a || b AS ab FROM old
""")]


def completed(s, *options):
    migration = s.migration(FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    migration.command("complete", expect=EXIT_BAD)  # not before the switch
    migration.command("cutover")
    migration.command("complete", *options)
    asked = migration.command("cutover", expect=EXIT_BAD)
    if "is in phase complete" not in asked.err:
        raise Failed(f"a cutover after complete says {asked.text}")
    migration.ended(0)
    if "event=hook" in migration.log_text():
        raise Failed("the log has hooks, and the file has none")
    left = [trace for trace in migration.traces() if "slot" in trace or "publication" in trace]
    if left:
        raise Failed(f"left behind: {left}")
    if s.target.value("SELECT count(*) FROM app.pair") != 500:
        raise Failed("the new table lost rows")


def again(s):
    """run says that there is nothing to do, check that the name is used up."""
    migration, = s.migrations
    migration.start()
    migration.ended(0)
    said, = (line for line in migration.log_text().splitlines() if "event=already.complete" in line)
    if f'since="{s.target.value("SELECT phase_since::text FROM pgcrossfade.migration")}"' not in said:
        raise Failed(f"run says {said}")
    if "nothing of it is left to run" not in migration.check(expect=EXIT_CHECK).out:
        raise Failed("check lets the name pass")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    completed(s, "--drop-old-tables")
    if s.source.value("SELECT to_regclass('public.pair')") is not None:
        raise Failed("the old table is still there")
    again(s)
