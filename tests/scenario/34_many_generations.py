"""A copy under many snapshots, with keys that move between chunks, is exact.

And the source's xmin is never held for much longer than snapshot_max_age.
"""
from harness import values
from harness.flow import Flow
from harness.processes import Failed
from harness.slow import slow_copy
from harness.writers import Table
from harness.xmin import XminWatch

ROUNDS = (1, 10)  # times the rows

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, note varchar(60), n int);
INSERT INTO public.item
SELECT i, repeat(md5(i::text), 1), i FROM generate_series(1, {items}) i;
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


MAX_AGE, SLACK = 1, 4  # seconds; a chunk under way is finished, and the machine has others


def scenario(s):
    s.source.run(OLD.format(items=150000 * s.rounds))
    s.target.run(NEW)
    slow_copy(s, "app.item", 0.02)  # one snapshot is not enough
    migration = s.migration(FLOWS, chunk_bytes="64kB", snapshot_max_age=f"{MAX_AGE}s", jobs=1)
    with XminWatch(s.source) as watch:
        s.follow(migration, [ITEM, PAIR], seconds=60 * s.rounds)
    generations = s.target.value("SELECT count(DISTINCT lg) FROM pgcrossfade.chunk_copied")
    print(f"{migration.chunks_copied()} chunks under {generations} snapshots;"
          f" xmin held for {watch.oldest:.1f} s at most, in {watch.samples} samples")
    if generations < 2 or watch.samples < 10:
        raise Failed("one snapshot was enough: the test shows nothing")
    if watch.oldest > MAX_AGE + SLACK:
        raise Failed(f"xmin was held for {watch.oldest:.1f} s")
