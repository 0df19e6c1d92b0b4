"""Rejects of flows that make several rows of one, of flows that join a lookup, and of partitions.

Of an old row all rows that a flow makes go in, or the old row is put aside.
"""
import json

from harness import values
from harness.compare import differences, must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed, until
from harness.rejects import count, must_account, stored_rows_are_present
from harness.writers import Table

OLD = """
CREATE TABLE public.invoice (id int PRIMARY KEY, customer text, lines jsonb);
ALTER TABLE public.invoice REPLICA IDENTITY FULL;
CREATE TABLE public.person (id int PRIMARY KEY, age text, city text);
ALTER TABLE public.person REPLICA IDENTITY FULL;
CREATE TABLE public.event (id int PRIMARY KEY, n text, note text) PARTITION BY RANGE (id);
CREATE TABLE public.event_1 PARTITION OF public.event FOR VALUES FROM (0) TO (2500);
CREATE TABLE public.event_2 PARTITION OF public.event FOR VALUES FROM (2500) TO (90000)
    PARTITION BY HASH (id);
CREATE TABLE public.event_2a PARTITION OF public.event_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.event_2b PARTITION OF public.event_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO public.invoice
SELECT i, 'customer ' || i % 9, CASE i % 200
       WHEN 0 THEN '["1", "dear"]' WHEN 1 THEN '["1", "2", "-3"]' ELSE '["1", "2"]' END::jsonb
  FROM generate_series(1, 4000) i;
INSERT INTO public.person
SELECT i, CASE i % 150 WHEN 0 THEN 'old' WHEN 1 THEN '151' ELSE '42' END, 'c' || i % 300
  FROM generate_series(1, 4000) i;
INSERT INTO public.event SELECT i, CASE i % 130 WHEN 0 THEN 'few' ELSE i::text END, 'note'
  FROM generate_series(1, 4000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.line (
    invoice_id bigint, place int, price int CONSTRAINT positive CHECK (price > 0), customer text,
    surrogate int GENERATED ALWAYS AS IDENTITY UNIQUE, PRIMARY KEY (invoice_id, place));
CREATE TABLE app.city (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.person (
    id bigint PRIMARY KEY, age int NOT NULL CONSTRAINT young CHECK (age < 150), city_id int);
CREATE TABLE app.event (id bigint PRIMARY KEY, n int NOT NULL, note text);
"""

FLOWS = [
    Flow("public.invoice", "app.line", key=("invoice_id", "place"), owner=("invoice_id",), select="""
        SELECT id::bigint AS invoice_id, l.ordinality::int AS place, l.value::int AS price, customer
        FROM old, jsonb_array_elements_text(lines) WITH ORDINALITY AS l
    """),
    Flow("public.person", "app.person", key=("id",), at_target=True, select="""
        SELECT o.id::bigint AS id, o.age::int AS age, c.id AS city_id
        FROM old o LEFT JOIN app.city c ON c.name = o.city
    """),
    Flow("public.person", "app.city", key=("name",), lookup=True,
         select="SELECT DISTINCT city AS name FROM old WHERE city IS NOT NULL"),
    Flow("public.event", "app.event", key=("id",), select="""
        SELECT id::bigint AS id, n::int AS n, note FROM old
    """),
]


def lines(rng):
    prices = ["1", "2", "3", "4", "5", "6", "7", "8", "-1", "1e3", "free", None]
    return json.dumps([rng.choice(prices) for _ in range(rng.randrange(4))])


TABLES = [
    Table("public.invoice", {"id": lambda rng: rng.randrange(1, 200) * 25},
          {"customer": values.text, "lines": values.maybe(lines)}),
    Table("public.person", {"id": lambda rng: rng.randrange(1, 200) * 25},
          {"age": values.one_of("1", "33", "77", "20", "21", "200", "young", None),
           "city": values.maybe(lambda rng: f"c{rng.randrange(900)}")}),
    Table("public.event", {"id": lambda rng: rng.randrange(1, 200) * 25},
          {"n": values.one_of("1", "2", "3", "4", "5", "1e3", "few", None),
           "note": values.maybe(lambda rng: values.long_text(rng), 0.5)}),
]

COLUMNS = {"public.invoice": ("app.line", "invoice_id", ("id", "customer", "lines")),
           "public.person": ("app.person", "id", ("id", "age", "city")),
           "public.event": ("app.event", "id", ("id", "n", "note"))}


def accounted(migration, *sources):
    drain(migration)
    for source in sources or COLUMNS:
        target, key, columns = COLUMNS[source]
        stored_rows_are_present(migration, source, target, "id", columns)
        must_account(migration, "id", key, [f for f in migration.flows if f.target == target])
    # a lookup takes the values of all rows, put aside or not
    must_be_equal(migration, [f for f in migration.flows if f.lookup])


def must_be_equal(migration, flows):
    lines = differences(migration.source, migration.target, flows)
    if lines:
        raise Failed("\n".join(lines))


def every_target_has_some(s, where):
    found = dict(s.target.rows(f"SELECT target, count(*) FROM pgcrossfade.reject WHERE {where}"
                               " GROUP BY 1"))
    if set(found) != {target for target, _, _ in COLUMNS.values()}:
        raise Failed(f"rejects with {where}: only {found}")


def rows_of(s, invoice):
    return s.target.rows("SELECT place, price FROM app.line WHERE invoice_id = %s ORDER BY 1", [invoice])


def must_have(s, migration, rows, rejects, why):
    accounted(migration, "public.invoice")
    if rows_of(s, 70000) != rows or count(migration) != rejects:
        raise Failed(f"{why}: {rows_of(s, 70000)}, {count(migration)} rejects")


def whole_or_not_at_all(s, migration):
    """One bad line keeps its invoice's others out; the older lines stay, and go with the next."""
    before = count(migration)
    s.source.run("INSERT INTO public.invoice VALUES (70000, 'a', '[\"1\", \"free\"]')")
    must_have(s, migration, [], before + 1, "a bad line in a new invoice")
    s.source.run("UPDATE public.invoice SET lines = '[\"7\", \"8\", \"9\"]' WHERE id = 70000")
    must_have(s, migration, [(1, 7), (2, 8), (3, 9)], before, "mended")
    s.source.run("UPDATE public.invoice SET lines = '[\"6\", \"-1\"]' WHERE id = 70000")
    must_have(s, migration, [(1, 7), (2, 8), (3, 9)], before + 1, "a CHECK in an invoice that is there")
    s.source.run("UPDATE public.invoice SET id = 70001 WHERE id = 70000")
    must_have(s, migration, [], before + 1, "moved while put aside")
    s.source.run("UPDATE public.invoice SET lines = '[\"4\"]', id = 70000 WHERE id = 70001")
    must_have(s, migration, [(1, 4)], before, "mended and moved")
    s.source.run("DELETE FROM public.invoice WHERE id = 70000")
    must_have(s, migration, [], before, "deleted")


MEND = """
ALTER TABLE app.line DROP CONSTRAINT positive;
ALTER TABLE app.person DROP CONSTRAINT young, ALTER age DROP NOT NULL;
ALTER TABLE app.event ALTER n DROP NOT NULL;
"""

CASTS = """
SELECT (SELECT count(*) FROM public.invoice WHERE lines::text ~ 'dear|free|1e3')
     + (SELECT count(*) FROM public.person WHERE age IN ('old', 'young'))
     + (SELECT count(*) FROM public.event WHERE n IN ('few', '1e3'))
"""

BETTER = """
UPDATE public.invoice SET lines = '["3"]' WHERE lines::text ~ 'dear|free|1e3';
UPDATE public.person SET age = '50' WHERE age IN ('old', 'young');
UPDATE public.event SET n = 5 WHERE n IN ('few', '1e3');
"""


def mended(s, migration):
    """What the targets refused goes in, what the SELECTs refuse stays until the rows are better."""
    s.target.run(MEND)
    migration.command("retry", expect=EXIT_BAD)
    accounted(migration)
    if count(migration) != s.source.value(CASTS):
        raise Failed(f"{count(migration)} rejects, {s.source.value(CASTS)} casts that fail")
    s.source.run(BETTER)
    drain(migration)
    if count(migration):
        raise Failed(f"rejects are left\n{migration.command('retry', '--list').out}")
    must_equal(migration)


def killed(migration, writers):
    """kill -9 in copy and in stream: nothing is put aside twice, or forgotten."""
    migration.start()
    until(lambda: migration.chunks_copied() > 1, "chunks", every=0.005, alive=migration.must_run)
    migration.kill9()
    migration.start()
    migration.wait_for("stream")
    writers.more(60)
    migration.kill9()
    migration.start()


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, rejects=1000, chunk_bytes="64kB")
    with s.writers(TABLES, count=2, rate=60) as writers:
        writers.more(30)
        killed(migration, writers)
        writers.more(150)
        writers.stop()
    accounted(migration)
    every_target_has_some(s, "chunk IS NOT NULL")
    every_target_has_some(s, "chunk IS NULL")
    whole_or_not_at_all(s, migration)
    mended(s, migration)
    migration.command("cutover")
