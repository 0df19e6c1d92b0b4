"""In one database the switch swaps the names: clients go on and see no error at all."""
import itertools

from harness import values
from harness.flow import Flow
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


def scenario(s):
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
