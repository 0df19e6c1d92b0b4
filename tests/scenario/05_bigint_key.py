"""An int key becomes a bigint, and moves beyond what an int holds."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.event (id int PRIMARY KEY, kind int NOT NULL, body text);
INSERT INTO public.event SELECT i, i % 7, repeat('b', i % 90) FROM generate_series(1, 40000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.event (id bigint PRIMARY KEY, kind smallint NOT NULL, body text);
"""

FLOWS = [Flow("public.event", "app.event", key=("id",), select="""
    SELECT id::bigint + 10000000000 AS id, kind::smallint AS kind, body FROM old
""")]

EVENT = Table(
    "public.event", {"id": lambda rng: rng.choice([-2**31, 2**31 - 1, rng.randrange(1, 50000)])},
    {"kind": values.small, "body": values.maybe(values.text)})


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), [EVENT])
