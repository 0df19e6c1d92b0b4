"""A history without key that only ever grows, and that the migration must not lock up."""
from harness import values
from harness.drain import drain
from harness.compare import must_equal
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.history (who int, what text, at timestamp);
INSERT INTO public.history
SELECT i % 100, 'what ' || i % 7, timestamp '2024-01-01' FROM generate_series(1, 40000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.history (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who bigint, what text, at timestamp);
"""

FLOWS = [Flow("public.history", "app.history", insert_only=True, select="""
    SELECT who::bigint AS who, what, at FROM old
""")]

HISTORY = Table(
    "public.history", {"who": values.up_to(100)},
    {"what": values.maybe(values.text), "at": values.timestamp}, unique=False,
    changes=("insert",))


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    s.follow(migration, [HISTORY])
    # a table without replica identity in a publication of updates refuses every UPDATE:
    # pgcrossfade must not do that to an application
    s.source.run("UPDATE public.history SET what = what WHERE who = 1")
    s.source.run("INSERT INTO public.history VALUES (1, 'after the update', now())")
    drain(migration)
    must_equal(migration)
