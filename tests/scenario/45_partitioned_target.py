"""Partitioned new tables: copy and stream into the root, indexes back as they were."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed, until
from harness.writers import Table

OLD = """
CREATE TABLE public.sale (id int PRIMARY KEY, region int, shop int, note text);
CREATE TABLE public.shop (id int PRIMARY KEY, name text);
CREATE TABLE public.visit (region int, n int);
INSERT INTO public.shop SELECT i, 'shop ' || i FROM generate_series(1, 50) i;
INSERT INTO public.sale SELECT i, i % 30, i % 50 + 1, repeat(md5(i::text), 3) FROM generate_series(1, 15000) i;
INSERT INTO public.visit SELECT i % 30, i FROM generate_series(1, 2000) i;
ALTER TABLE public.visit REPLICA IDENTITY FULL;
ALTER TABLE public.sale REPLICA IDENTITY FULL;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.shop (id bigint PRIMARY KEY, name text);
CREATE TABLE app.sale (id bigint, region int, shop bigint, note text,
    CONSTRAINT "sale key" PRIMARY KEY (id, region) WITH (fillfactor = 60),
    CONSTRAINT sale_shop FOREIGN KEY (shop) REFERENCES app.shop ON DELETE CASCADE)
    PARTITION BY RANGE (region);
CREATE TABLE app.sale_1 PARTITION OF app.sale FOR VALUES FROM (0) TO (10);
CREATE TABLE app.sale_2 (note text, region int NOT NULL, gone int, shop bigint, id bigint NOT NULL,
    CONSTRAINT "own name" PRIMARY KEY (id, region) WITH (deduplicate_items = off));
ALTER TABLE app.sale_2 DROP COLUMN gone;
CREATE INDEX "sale 2's index" ON app.sale_2 (note);
ALTER TABLE app.sale ATTACH PARTITION app.sale_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE app.sale_3 PARTITION OF app.sale FOR VALUES FROM (20) TO (30) PARTITION BY HASH (id);
CREATE TABLE app.sale_3a PARTITION OF app.sale_3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.sale_3b PARTITION OF app.sale_3 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX "all notes" ON app.sale (note DESC) WHERE region > 1;
CREATE INDEX folded ON app.sale (region, lower(note)) WITH (fillfactor = 50);
ALTER INDEX app.folded ALTER COLUMN 2 SET STATISTICS 50;
ALTER INDEX app.sale_1_region_lower_idx ALTER COLUMN 2 SET STATISTICS 60;
CREATE INDEX only_here ON app.sale_1 (shop);
COMMENT ON INDEX app."all notes" IS 'the index''s comment';
COMMENT ON CONSTRAINT sale_shop ON app.sale IS 'the constraint''s comment';
CREATE TABLE app.visit (region int, n bigint) PARTITION BY LIST (region);
CREATE TABLE app.visit_0 PARTITION OF app.visit FOR VALUES IN (0);
CREATE TABLE app.visit_rest PARTITION OF app.visit DEFAULT;
"""

DEFINITIONS = """
SELECT pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'),
       i.indisprimary::text || i.indisvalid || (SELECT string_agg(coalesce(attstattarget, -1)::text, ',' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = i.indexrelid), (SELECT inhparent::regclass::text FROM pg_inherits
        WHERE inhrelid = i.indexrelid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'app'::regnamespace
UNION ALL
SELECT conrelid::regclass || conname || pg_get_constraintdef(oid),
       obj_description(oid, 'pg_constraint'), convalidated::text || condeferrable::text, (conparentid <> 0)::text
  FROM pg_constraint WHERE connamespace = 'app'::regnamespace ORDER BY 1, 2, 3
"""

FLOWS = [
    Flow("public.sale", "app.sale", key=("id", "region"), select="""
        SELECT id::bigint AS id, region, shop::bigint AS shop, note FROM old WHERE note <> 'hidden'
    """),
    Flow("public.shop", "app.shop", key=("id",), select="SELECT id::bigint AS id, name FROM old"),
    Flow("public.visit", "app.visit", select="SELECT region, n::bigint AS n FROM old"),
]

TABLES = [
    Table("public.sale", {"id": values.up_to(500)},
          {"region": values.up_to(29), "note": values.one_of("a", "hidden", "long" * 3000)}),
    # rows with one ctid in two partitions
    Table("public.visit", {"region": values.up_to(3), "n": values.up_to(2000)}, {}, unique=False,
          changes=("insert", "insert", "delete", "move")),
]


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    before = s.target.rows(DEFINITIONS)
    migration = s.migration(FLOWS, chunk_bytes="64kB")
    with s.writers(TABLES) as writers:
        writers.more(30)
        migration.start()
        migration.until_phase("copy", "stream")
        until(lambda: migration.chunks_copied() >= 2, "two chunks", alive=migration.must_run)
        migration.kill9()
        migration.start()
        migration.wait_for("lag-zero")
        writers.more(150)
        writers.stop()
    drain(migration)
    must_equal(migration)
    # a row that no partition takes stops the run, by name; widening the table lets it go on
    s.source.run("INSERT INTO public.sale VALUES (100000, 30, 1, 'nowhere')")
    migration.ended(EXIT_CONFLICT)
    for part in ("no partition of relation", "id=100000", "app.sale"):
        if part not in migration.log_text():
            raise Failed(f"'{part}' is not in the log")
    s.target.run("CREATE TABLE app.sale_4 PARTITION OF app.sale FOR VALUES FROM (30) TO (40)")
    migration.start()
    drain(migration)
    must_equal(migration)
    s.source.run("UPDATE public.sale SET region = 5 WHERE id = 100000; DELETE FROM public.sale WHERE region = 7")
    drain(migration)
    must_equal(migration)
    migration.command("cutover")
    until(lambda: s.target.value("SELECT count(*) FROM pgcrossfade.definition") == 0,
          "the last definition", alive=migration.must_run)
    s.target.run("DROP TABLE app.sale_4")
    after = s.target.rows(DEFINITIONS)
    if after != before:
        raise Failed(f"lost: {set(before) - set(after)}, new: {set(after) - set(before)}")
