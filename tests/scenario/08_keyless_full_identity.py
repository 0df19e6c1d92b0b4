"""A table without key, followed by its whole rows: equal rows are counted, not merged."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.reading (sensor int, at timestamp, label text);
ALTER TABLE public.reading REPLICA IDENTITY FULL;
CREATE INDEX ON public.reading (sensor);
INSERT INTO public.reading
SELECT i % 3000, timestamp '2024-01-01' + (i % 50) * interval '1 hour', 'label ' || i % 3
FROM generate_series(1, 20000) i;
INSERT INTO public.reading SELECT NULL, NULL, NULL FROM generate_series(1, 20);
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.reading (sensor bigint, taken_at timestamp, label text);
CREATE INDEX ON app.reading (sensor);
"""

FLOWS = [Flow("public.reading", "app.reading", select="""
    SELECT sensor::bigint AS sensor, at AS taken_at, upper(label) AS label FROM old
""")]

READING = Table(
    "public.reading", {"sensor": values.up_to(3000)},
    {"at": values.maybe(values.timestamp), "label": values.one_of("label 1", "label 2", None)},
    unique=False)


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), [READING])
