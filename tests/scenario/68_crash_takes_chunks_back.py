"""A chunk's commit does not wait for the disk: a crash of the target takes the last ones back.

Rows and ledger row go together, whatever is taken; what is lost is copied again, and in the end
nothing is missing or doubled. The second table has no key: there a doubled row would stay. The
writer of the target's WAL sleeps long, so that a crash takes as much as it can.
"""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until
from harness.writers import Table

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, n int, body text);
CREATE TABLE public.entry (id int PRIMARY KEY, n int, body text);
INSERT INTO public.item SELECT i, i, repeat(md5(i::text), 6) FROM generate_series(1, 40000) i;
INSERT INTO public.entry SELECT i, i, repeat(md5(i::text), 6) FROM generate_series(1, 40000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, n int, body text);
CREATE INDEX item_n ON app.item (n);
CREATE TABLE app.entry (id bigint, n int, body text);
ALTER SYSTEM SET wal_writer_delay = '10s';
ALTER SYSTEM SET wal_writer_flush_after = '100MB';
"""

FLOWS = [
    Flow("public.item", "app.item", key=("id",), select="SELECT id::bigint AS id, n, body FROM old"),
    Flow("public.entry", "app.entry", insert_only=True,
         select="SELECT id::bigint AS id, n, body FROM old"),
]

ITEM = Table("public.item", {"id": values.up_to(70000)},
             {"n": values.small, "body": values.maybe(values.text)})

COPIED = """
    SELECT c.relation || ' ' || c.no FROM pgcrossfade.chunk_copied c"""
LEDGER = """
    SELECT relation, sum(rows)::bigint FROM pgcrossfade.chunk_copied GROUP BY 1 ORDER BY 1"""
TABLES = """
    SELECT * FROM (SELECT 'public.entry', count(*) FROM app.entry
                   UNION ALL SELECT 'public.item', count(*) FROM app.item) t WHERE count > 0 ORDER BY 1"""


def scenario(s):
    s.source.run(OLD)
    for statement in NEW.strip().split(";")[:-1]:
        s.target.run(statement)
    target = s.servers[1]
    target.restart("fast")
    migration = s.migration(FLOWS, chunk_bytes="128kB")
    lost = 0
    with s.writers([ITEM], count=1) as writers:
        migration.start()
        for crash in range(3):
            wanted = migration.chunks_copied() + 9
            until(lambda: migration.chunks_copied() >= wanted or migration.phase() == "stream",
                  f"{wanted} chunks", alive=migration.must_run)
            if migration.phase() == "stream":
                raise Failed(f"all is copied before crash {crash + 1}: the test shows too little")
            before = {chunk for (chunk,) in s.target.rows(COPIED)}
            migration.kill9()  # so that nothing is copied between the crash and the count
            target.restart("immediate")
            lost += len(before - {chunk for (chunk,) in s.target.rows(COPIED)})
            ledger, tables = s.target.rows(LEDGER), s.target.rows(TABLES)
            if ledger != tables:
                raise Failed(f"crash {crash + 1}: the ledger has {ledger}, the tables {tables}")
            migration.start()
        # and once under a running migration, which has to see that what it knew is gone
        have = migration.chunks_copied()
        until(lambda: migration.chunks_copied() > have, "a chunk", alive=migration.must_run)
        target.restart("immediate")
        migration.wait_for("lag-zero")
        writers.stop()
    print(f"{lost} committed chunks were taken back by three crashes")
    drain(migration)
    must_equal(migration)
