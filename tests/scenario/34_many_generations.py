"""A copy under many snapshots, with keys that move between chunks, is exact."""
from harness import values
from harness.flow import Flow
from harness.processes import Failed
from harness.writers import Table

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, note varchar(60), n int);
INSERT INTO public.item
SELECT i, repeat(md5(i::text), 1), i FROM generate_series(1, 150000) i;
CREATE TABLE public.pair (a int, b int, n int, PRIMARY KEY (a, b));
INSERT INTO public.pair SELECT i % 50, i, i FROM generate_series(1, 40000) i;
ALTER TABLE public.item REPLICA IDENTITY FULL;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, note text, n bigint);
CREATE TABLE app.pair (a bigint, b bigint, n bigint, PRIMARY KEY (a, b));
"""

FLOWS = [
    Flow("public.item", "app.item", key=("id",),
         select="SELECT id::bigint AS id, note, n::bigint AS n FROM old"),
    Flow("public.pair", "app.pair", key=("a", "b"),
         select="SELECT a::bigint AS a, b::bigint AS b, n::bigint AS n FROM old"),
]

ITEM = Table("public.item", {"id": values.up_to(200000)}, {"n": values.up_to(10**6)})
PAIR = Table("public.pair", {"a": values.up_to(60), "b": values.up_to(50000)},
             {"n": values.up_to(10**6)})


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, chunk_bytes="64kB", snapshot_max_age="1s", jobs=1)
    s.follow(migration, [ITEM, PAIR])
    generations = s.target.value("SELECT count(DISTINCT lg) FROM pgcrossfade.chunk_copied")
    print(f"{migration.chunks_copied()} chunks under {generations} snapshots")
    if generations < 2:
        raise Failed("one snapshot was enough: the test shows nothing")
