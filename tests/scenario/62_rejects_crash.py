"""Rejects in one database, through kill -9 at random moments of copy and stream.

The journal has no key on either side: a row that is put aside twice, or applied and put aside,
shows as a difference of the multisets.
"""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed, until
from harness.rejects import count, must_account, stored_rows_are_present
from harness.writers import Table

SERVERS = 1

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, price text, label text);
CREATE TABLE public.journal (at text, what text);
ALTER TABLE public.journal REPLICA IDENTITY FULL;
INSERT INTO public.item SELECT i, CASE WHEN i % 97 = 0 THEN 'free' ELSE i::text END,
       repeat(md5(i::text), 3) FROM generate_series(1, 20000) i;
INSERT INTO public.journal SELECT CASE WHEN i % 89 = 0 THEN 'soon' ELSE '2020-01-01' END,
       'what ' || i / 2 FROM generate_series(1, 5000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, price int CHECK (price <> 13), label varchar(200));
CREATE TABLE app.journal (at date NOT NULL, what text);
"""

FLOWS = [
    Flow("public.item", "app.item", key=("id",), select="""
        SELECT id::bigint AS id, price::int AS price, label FROM old
    """),
    Flow("public.journal", "app.journal", select="""
        SELECT at::date AS at, what FROM old
    """),
]

TABLES = [
    Table("public.item", {"id": values.up_to(22000)},
          {"price": values.one_of("1", "2", "3", "4", "13", "dear"),
           "label": values.one_of("a", "b", "x" * 201)}),
    Table("public.journal", {"what": lambda rng: f"what {rng.randrange(60)}"},
          {"at": values.one_of("2021-02-03", "1999-12-31", "soon", None)}, unique=False),
]

# what the target would have if it refused nothing
WITH_REJECTS = """
SELECT at, what, sum(n) FROM (
    SELECT at, what, 1 AS n FROM public.journal
    UNION ALL SELECT at::text, what, -1 FROM app.journal
    UNION ALL SELECT row->>'at', row->>'what', -1 FROM pgcrossfade.reject
              WHERE source = 'public.journal') AS sides
GROUP BY at, what HAVING sum(n) <> 0"""


def accounted(s, migration):
    drain(migration)
    stored_rows_are_present(migration, "public.item", "app.item", "id", ("id", "price", "label"))
    items = [flow for flow in migration.flows if flow.target == "app.item"]
    must_account(migration, "id", "id", items)
    different = s.source.rows(WITH_REJECTS)
    if different:
        raise Failed(f"journal, target and rejects are not the source: {different[:5]}")


def killed(s, migration, writers):
    migration.start()
    until(lambda: migration.chunks_copied() > 1, "chunks", alive=migration.must_run)
    migration.kill9()
    migration.start()
    migration.wait_for("stream")
    for _ in range(3 * s.rounds):
        writers.more(s.rng.randrange(5, 40))
        migration.kill9()
        migration.start()
        if s.rng.random() < 0.5:
            drain(migration)


def scenario(s):
    s.source.run(OLD)
    s.source.run(NEW)
    migration = s.migration(FLOWS, rejects=10000, target=s.source)
    with s.writers(TABLES, count=2, rate=30) as writers:
        writers.more(10)
        killed(s, migration, writers)
        writers.stop()
    accounted(s, migration)
    if count(migration) < 100:
        raise Failed(f"{count(migration)} rejects only")
    migration.kill9()
    migration.start()
    accounted(s, migration)
    s.source.run("ALTER TABLE app.item ALTER label TYPE text; ALTER TABLE app.item DROP CONSTRAINT"
                 " item_price_check; ALTER TABLE app.journal ALTER at DROP NOT NULL")
    migration.command("retry", expect=EXIT_BAD)
    accounted(s, migration)
    s.source.run("UPDATE public.item SET price = '5' WHERE price IN ('dear', 'free');"
                 "UPDATE public.journal SET at = '2022-01-01' WHERE at = 'soon'")
    drain(migration)
    if count(migration):
        raise Failed(f"{count(migration)} rejects are left\n" + migration.command("retry", "--list").out)
    must_equal(migration)
    migration.command("abort")
    if migration.traces():
        raise Failed(f"abort left {migration.traces()}")
