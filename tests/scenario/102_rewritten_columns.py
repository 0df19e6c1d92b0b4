"""Columns that were given other values by DDL, and are of the type that they were.

Nothing in the stream tells of it: not of ALTER COLUMN ... TYPE ... USING, a varchar made shorter, or
a value of an enum that is renamed. The run stops within a second, also one that was down meanwhile
or began under an earlier version, and a cutover refuses. What only looks alike goes on: the column's
row in the catalog written again, or the table's file made anew, or both at a time.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed, until

DECODER_MATTERS = False
SERVERS = 1

OLD = """
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE TABLE public.item (id int PRIMARY KEY, n int, name varchar(20), moods mood[]);
INSERT INTO public.item SELECT i, i, 'item ' || i, '{ok}' FROM generate_series(1, 500) i;
ALTER TABLE public.item ADD note text DEFAULT 'none';
CREATE TABLE public.part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE public.part_1 PARTITION OF public.part FOR VALUES FROM (1) TO (100);
CREATE TABLE public.part_2 PARTITION OF public.part FOR VALUES FROM (100) TO (200);
INSERT INTO public.part SELECT i, i FROM generate_series(1, 199) i;
"""

NEW = """
CREATE TYPE public.mood AS ENUM ('sad', 'calm', 'ok');
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, n bigint, name text, moods text, note text);
CREATE TABLE app.part (id bigint PRIMARY KEY, n bigint);
"""

FLOWS = [
    Flow("public.item", "app.item", key=("id",), select="""
        SELECT id::bigint AS id, n::bigint AS n, name::text AS name, array_to_string(moods, ' ') AS moods, note
        FROM old
    """),
    Flow("public.part", "app.part", key=("id",), select="SELECT id::bigint AS id, n::bigint AS n FROM old"),
]

# each between two looks
HARMLESS = (
    """
    ALTER TABLE public.item ALTER n SET STATISTICS 50, ALTER name TYPE varchar(40);
    CLUSTER public.item USING item_pkey;
    ALTER TYPE public.mood ADD VALUE 'calm' BEFORE 'ok';
    ALTER TABLE public.part ALTER n SET STATISTICS 50;
    CREATE TABLE public.part_3 PARTITION OF public.part FOR VALUES FROM (200) TO (300);
    """,
    # clears what stood for the missing values of note, which has a default still
    "ALTER TABLE public.item ALTER note SET NOT NULL, ADD at timestamptz DEFAULT clock_timestamp()",
)

# what it says of each
VALUES = ('column n of "public"."item" was altered', "ALTER TABLE public.item ALTER n TYPE int USING n + 100")
CHANGES = (
    ('column name of "public"."item" was altered',
     "ALTER TABLE public.item ALTER name TYPE varchar(5) USING left(name, 5)"),
    ('column n of "public"."part" was altered',
     "ALTER TABLE public.part ALTER n TYPE int USING n + 100; ALTER TABLE public.part ALTER n SET STATISTICS 60"),
    ("value sad of enum public.mood was number", "ALTER TYPE public.mood RENAME VALUE 'sad' TO 'glum'"),
)

KNOWN = "SELECT columns, stamps FROM pgcrossfade.migration"
VERSION_4 = """
ALTER TABLE pgcrossfade.migration DROP stamps;
UPDATE pgcrossfade.ledger SET version = 4;
"""


def harmless(s, migration, change):
    """It is looked at, by a run that is up or comes up, and taken for what it is."""
    before = s.target.rows(KNOWN)
    s.source.run(change)
    if not migration.running:
        migration.start()
    until(lambda: s.target.rows(KNOWN) != before, f"a look at {change}", alive=migration.must_run)


def noticed(s, migration, change):
    """By a run that is up, or by the next."""
    words, sql = change
    s.source.run(sql)
    if not migration.running:
        migration.start()
    migration.ended(EXIT_USAGE, 10)
    said = migration.status()["error"]
    if words not in said:
        raise Failed(f"it says {said}, not {words}")


def known_anew(s, migration):
    """As a ledger of the version before is brought up to date: what is there now counts."""
    s.target.run(VERSION_4)
    migration.start()
    until(lambda: s.target.value("SELECT version FROM pgcrossfade.ledger") > 4 and
          s.target.value("SELECT stamps FROM pgcrossfade.migration"), "stamps", alive=migration.must_run)
    migration.terminate()


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
    harmless(s, migration, HARMLESS[0])
    migration.terminate()
    harmless(s, migration, HARMLESS[1])
    s.source.run("UPDATE public.item SET moods = '{calm,sad}' WHERE id < 10; INSERT INTO public.part VALUES (200, 1)")
    drain(migration)
    must_equal(migration)
    noticed(s, migration, VALUES)
    noticed(s, migration, (VALUES[0], "ALTER TABLE public.item ALTER n SET STATISTICS 70"))
    for change in CHANGES:
        known_anew(s, migration)
        noticed(s, migration, change)
