"""Columns get other names and other types."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.customer (
    id int PRIMARY KEY, name text NOT NULL, born date, points int, active text, seen timestamp);
INSERT INTO public.customer
SELECT i, 'customer ' || i || repeat(' ', i % 50) || 'end', date '1970-01-01' + i % 9999, i, 'Y',
       timestamp '2020-01-01' + i * interval '1 second'
FROM generate_series(1, 30000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.customer (
    customer_id int PRIMARY KEY, full_name varchar(400) NOT NULL, birthday text, score bigint,
    active boolean, last_seen timestamptz, origin text DEFAULT 'migrated');
"""

FLOWS = [Flow("public.customer", "app.customer", key=("customer_id",), select="""
    SELECT id AS customer_id,
           name AS full_name,
           to_char(born::timestamp, 'YYYY-MM-DD') AS birthday,
           points::bigint * 10 AS score,
           active = 'Y' AS active,
           seen AT TIME ZONE 'UTC' AS last_seen
    FROM old
""")]

CUSTOMER = Table(
    "public.customer", {"id": values.up_to(40000)},
    {"name": values.text, "born": values.maybe(values.date), "points": values.maybe(values.integer),
     "active": values.one_of("Y", "N", "", None), "seen": values.maybe(values.timestamp)})


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), [CUSTOMER])
