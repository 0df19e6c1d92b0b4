"""Partitioned old tables: copied whole, followed partition by partition, frozen to the leaves."""
import itertools

from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed
from harness.writers import Table

OLD = """
CREATE TABLE public.event (id int, day int, note text, n int, PRIMARY KEY (id, day))
    PARTITION BY RANGE (day);
CREATE TABLE public.event_1 PARTITION OF public.event FOR VALUES FROM (0) TO (10);
-- a partition with columns in another order, and with a dropped one
CREATE TABLE public.event_2 (gone int, n int, note text, day int NOT NULL, id int NOT NULL);
ALTER TABLE public.event_2 DROP COLUMN gone;
ALTER TABLE public.event ATTACH PARTITION public.event_2 FOR VALUES FROM (10) TO (20);
-- two levels
CREATE TABLE public.event_3 PARTITION OF public.event FOR VALUES FROM (20) TO (30)
    PARTITION BY HASH (id);
CREATE TABLE public.event_3a PARTITION OF public.event_3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.event_3b PARTITION OF public.event_3 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO public.event SELECT i, i % 30, repeat(md5(i::text), 3), i FROM generate_series(1, 20000) i;
-- no key: by ctid, the same ranges in each partition
CREATE TABLE public.log (kind text, n int) PARTITION BY LIST (kind);
CREATE TABLE public.log_a PARTITION OF public.log FOR VALUES IN ('a');
CREATE TABLE public.log_b PARTITION OF public.log FOR VALUES IN ('b', 'c');
ALTER TABLE public.log_a REPLICA IDENTITY FULL;
ALTER TABLE public.log_b REPLICA IDENTITY FULL;
INSERT INTO public.log SELECT 'a', i FROM generate_series(1, 8000) i;
INSERT INTO public.log SELECT (ARRAY['b', 'c'])[1 + i % 2], i FROM generate_series(1, 300) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.event (id bigint, day bigint, note text, n bigint, PRIMARY KEY (id, day));
CREATE TABLE app.log (kind text, n bigint);
"""

FLOWS = [
    Flow("public.event", "app.event", key=("id", "day"), select="""
        SELECT id::bigint AS id, day::bigint AS day, note, n::bigint AS n FROM old
    """),
    Flow("public.log", "app.log", select="SELECT kind, n::bigint AS n FROM old"),
]


def long(rng):
    """Too long for its row: an update of another column does not send it."""
    return "".join(rng.choices("0123456789abcdef", k=9000)) if rng.random() < 0.1 else "short"


EVENT = Table("public.event", {"id": values.up_to(3000), "day": values.up_to(29)},
              {"note": long, "n": values.small})
LOG = Table("public.log", {"kind": values.one_of("a", "b", "c"), "n": values.up_to(20000)}, {},
            unique=False, changes=("insert", "insert", "delete", "move"))


def stops(migration, text):
    migration.ended(EXIT_USAGE)
    if text not in migration.log_text() or text not in migration.status()["error"]:
        raise Failed(f"want '{text}'\n{migration.log_text()}")


def a_partition_made_meanwhile(s, migration):
    s.source.run("CREATE TABLE public.event_4 PARTITION OF public.event FOR VALUES FROM (30) TO (40);"
                 "INSERT INTO public.event SELECT i, 35, 'new', i FROM generate_series(1, 500) i")
    s.source.run("UPDATE public.event SET day = 36 WHERE id < 100 AND day = 5")
    # attached by the transaction that made it, as pg_partman does
    s.source.run("BEGIN; CREATE TABLE public.event_5 (LIKE public.event INCLUDING ALL);"
                 "ALTER TABLE public.event ATTACH PARTITION public.event_5 FOR VALUES FROM (40) TO (50);"
                 "COMMIT")
    s.source.run("INSERT INTO public.event VALUES (1, 45, 'newer', 1)")
    drain(migration)
    must_equal(migration)


def truncated(s, migration):
    s.source.run("INSERT INTO public.event VALUES (900, 1, 'goes', 1); TRUNCATE public.event;"
                 "INSERT INTO public.event VALUES (901, 25, 'stays', 1)")
    drain(migration)
    must_equal(migration)


def frozen(s, migration):
    migration.command("cutover")
    for statement in (["INSERT INTO public.event VALUES (1, 1, '', 1)",
                                        "INSERT INTO public.event_3b VALUES (1, 21, '', 1)",
                                        "DELETE FROM public.event_5", "TRUNCATE public.log_a"]):
        try:
            s.source.run(statement)
        except Exception as e:  # whatever the driver makes of it
            if "is frozen" in str(e):
                continue
            raise
        raise Failed(f"not frozen: {statement}")
    migration.command("complete", "--drop-old-tables")
    migration.ended(0)
    left = s.source.rows("SELECT relname FROM pg_class WHERE relname ~ '^(event|log)' AND relkind IN ('r', 'p')")
    if left:
        raise Failed(f"not dropped: {left}")


def stopping(s):
    """What would go unnoticed by the stream stops the run, also when it happens while it is down."""
    names = (f"stop{i}" for i in itertools.count())
    cases = [("TRUNCATE public.part_1", "TRUNCATE of partition public.part_1", True),
             ("ALTER TABLE public.part DETACH PARTITION public.part_1", "was detached or dropped", True),
             ("DROP TABLE public.part_1", "was detached or dropped", False),
             ("CREATE TABLE public.late (id int, n int, PRIMARY KEY (id));"
              "INSERT INTO public.late VALUES (2000, 1)", None, True),
             ("ALTER TABLE public.part ATTACH PARTITION public.late FOR VALUES FROM (2000) TO (3000)",
              "was attached to public.part", False)]
    s.target.run("CREATE TABLE app.part (id bigint PRIMARY KEY, n bigint)")
    s.source.run("CREATE TABLE public.part (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
                 "CREATE TABLE public.part_1 PARTITION OF public.part FOR VALUES FROM (0) TO (1000);"
                 "CREATE TABLE public.part_2 PARTITION OF public.part FOR VALUES FROM (1000) TO (2000);"
                 "INSERT INTO public.part SELECT i, i FROM generate_series(1, 1900) i")
    flow = Flow("public.part", "app.part", key=("id",),
                select="SELECT id::bigint AS id, n::bigint AS n FROM old")
    for statement, text, running in cases:
        if text is None:
            s.source.run(statement)
            continue
        migration = s.migration([flow], name=next(names))
        migration.start()
        migration.wait_for("lag-zero")
        if not running:
            migration.terminate()
        s.source.run(statement)
        if not running:
            migration.start()
        stops(migration, text)
        migration.command("abort")
        s.source.run("DROP TABLE IF EXISTS public.part_1;"
                     "CREATE TABLE public.part_1 PARTITION OF public.part FOR VALUES FROM (0) TO (1000);"
                     "INSERT INTO public.part SELECT i, i FROM generate_series(1, 900) i")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, chunk_bytes="64kB")
    s.follow(migration, [EVENT, LOG], during_stream=150)
    a_partition_made_meanwhile(s, migration)
    truncated(s, migration)
    frozen(s, migration)
    stopping(s)
