"""One column becomes two, two become one, one is computed."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.person (
    id int PRIMARY KEY, full_name text, area text, number text, cents int, quantity int);
-- an expression over a text and something else needs the whole old row
ALTER TABLE public.person REPLICA IDENTITY FULL;
INSERT INTO public.person
SELECT i, 'First' || i || ' Last' || i, '0' || i % 99, lpad(i::text, 7, '0'), i % 5000, i % 7
FROM generate_series(1, 30000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.person (
    id int PRIMARY KEY, first_name text, last_name text, phone text, total bigint, size text);
"""

FLOWS = [Flow("public.person", "app.person", key=("id",), select="""
    SELECT id,
           split_part(full_name, ' ', 1) AS first_name,
           substr(full_name, strpos(full_name, ' ') + 1) AS last_name,
           area || '/' || coalesce(number, '-') AS phone,
           cents::bigint * quantity AS total,
           CASE WHEN cents < 100 THEN 'small' WHEN cents < 1000 THEN 'medium' ELSE 'large' END
               AS size
    FROM old
""")]

PERSON = Table(
    "public.person", {"id": values.up_to(40000)},
    {"full_name": values.maybe(values.words), "area": values.maybe(values.text),
     "number": values.maybe(values.text), "cents": values.maybe(values.integer),
     "quantity": values.maybe(values.small)})


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), [PERSON])
