"""In one database the switch swaps the names: clients go on and see no error at all.

Also from schema to schema; where an index would meet another of its name there, check says so.
"""
import itertools

from harness import values
from harness.flow import Flow
from harness.migration import EXIT_CHECK
from harness.processes import Failed
from harness.writers import Table

SERVERS = 1

TABLES_SQL = """
CREATE TABLE public.item (id int PRIMARY KEY, label text, price int);
CREATE TABLE public.item_next (id bigint PRIMARY KEY, label text, price bigint);
INSERT INTO public.item SELECT i, 'item ' || i, i FROM generate_series(1, 20000) i;
"""

FLOWS = [Flow("public.item", "public.item_next", key=("id",), select="""
    SELECT id::bigint AS id, label, price::bigint AS price FROM old
""")]

MORE = """
switch:
  rename:
    - {table: public.item, to: public.item_old}
    - {table: public.item_next, to: public.item}
"""

LOST = """
SELECT id::bigint, label, price::bigint FROM public.item_old
EXCEPT SELECT id, label, price FROM public.item
"""

# both names that a table could have halfway are another's
SCHEMAS_SQL = """
CREATE SCHEMA next;
CREATE TABLE public.thing (id serial PRIMARY KEY);
CREATE TABLE next.thing (id bigint PRIMARY KEY);
CREATE TABLE public.past (id int);
CREATE SEQUENCE next.thing_id_seq;
INSERT INTO public.thing SELECT i FROM generate_series(1, 100) i;
"""

SCHEMAS = """
switch:
  rename:
    - {table: public.thing, to: next.past}
    - {table: next.thing, to: public.thing}
"""


def between_schemas(s):
    s.source.run(SCHEMAS_SQL)
    migration = s.migration([Flow("public.thing", "next.thing", key=("id",),
                                  select="SELECT id::bigint AS id FROM old")],
                            name="schemas", target=s.source, more=SCHEMAS)
    said = migration.check(expect=EXIT_CHECK).text
    if "are taken: thing_id_seq, thing_pkey;" not in said:
        raise Failed(f"check says {said}")
    s.source.run("ALTER SEQUENCE next.thing_id_seq RENAME TO other; ALTER INDEX next.thing_pkey RENAME TO new_key")
    migration.check()
    migration.start()
    migration.wait_for("lag-zero")
    print(migration.command("cutover").out)
    names = s.source.rows("SELECT c.oid::regclass::text, count(*) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid"
                          " WHERE relname IN ('thing', 'past') AND attnum > 0 AND atttypid = 'bigint'::regtype"
                          " GROUP BY 1")
    if names != [("thing", 1)] or s.source.value("SELECT count(*) FROM next.past") != 100:
        raise Failed(f"the new table is {names}")


def scenario(s):
    between_schemas(s)
    s.source.run(TABLES_SQL)
    migration = s.migration(FLOWS, target=s.source, more=MORE)
    ids = itertools.count(30000)
    item = Table("public.item", {"id": lambda rng: next(ids)},
                 {"label": values.text, "price": values.small}, changes=("insert",))
    with s.writers([item]) as writers:
        migration.start()
        migration.wait_for("lag-zero")
        writers.more(200)
        print(migration.command("cutover").out)
        writers.more(200)
        writers.stop()
    if writers.freezes:
        raise Failed(f"writers saw an error: {writers.freezes}")
    lost = s.source.rows(LOST)
    if lost:
        raise Failed(f"{len(lost)} rows of the old table are not in the new one: {lost[:5]}")
    kind = s.source.value("SELECT atttypid::regtype::text FROM pg_attribute"
                          " WHERE attrelid = 'public.item'::regclass AND attname = 'id'")
    if kind != "bigint":
        raise Failed(f"public.item has an id of type {kind}")
    if s.source.value("SELECT count(*) FROM public.item_old") >= s.source.value(
            "SELECT count(*) FROM public.item"):
        raise Failed("nothing was written to the new table")
