"""Partitions that come while the migration runs: empty ones are followed, no row is lost with a full one.

pgoutput publishes a partition's rows from the command on that makes it one: those that the same
transaction wrote before are missing, and the run must stop. wal2json sends them.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed, until

OLD = """
CREATE ROLE app;
CREATE SCHEMA old_days;
CREATE TABLE public.part (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE public.part_0 PARTITION OF public.part FOR VALUES FROM (0) TO (1000);
CREATE TABLE public.part_rest PARTITION OF public.part DEFAULT;
INSERT INTO public.part SELECT i, i FROM generate_series(1, 1500) i;
CREATE TABLE public.plain (id int PRIMARY KEY, n int);
"""

NEW = """
CREATE SCHEMA {app};
CREATE TABLE {app}.part (id bigint PRIMARY KEY, n bigint);
CREATE TABLE {app}.plain (id bigint PRIMARY KEY, n bigint);
"""


def flows(app):
    return [Flow(f"public.{name}", f"{app}.{name}", key=("id",),
                 select="SELECT id::bigint AS id, n::bigint AS n FROM old")
            for name in ("part", "plain")]


FLOWS = flows("app")

# {p}: the new partition's name, {at}: where it begins
ATTACH = "ALTER TABLE public.part ATTACH PARTITION public.{p} FOR VALUES FROM ({at}) TO ({at} + 1000);"
SPLIT = """
WITH gone AS (DELETE FROM public.part_rest WHERE id >= {at} AND id < {at} + 1000 RETURNING *)
INSERT INTO public.{p} SELECT * FROM gone;"""
MAKE = "CREATE TABLE public.{p} (id int PRIMARY KEY, n int);"
FILL = "INSERT INTO public.{p} SELECT i, 1 FROM generate_series({at}, {at} + 99) i;"
BESIDE = "INSERT INTO public.plain VALUES ({at}, 1);"

# each in one transaction, with rows that were there before the attach
FULL = {
    "split": "CREATE TABLE public.{p} (LIKE public.part INCLUDING ALL);" + SPLIT + ATTACH,
    "few commands": "CREATE TABLE public.{p} (id int NOT NULL, n int);" + FILL + ATTACH,
    "rows after it, too": BESIDE + MAKE + FILL + ATTACH + "INSERT INTO public.part VALUES ({at} + 500, 1);",
    "filled in a savepoint": MAKE + "SAVEPOINT a;" + FILL + "RELEASE a;" + ATTACH,
    "two levels": "CREATE TABLE public.{p} (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
                  "CREATE TABLE public.{p}_a PARTITION OF public.{p} DEFAULT;" + FILL + ATTACH,
    "created as": "CREATE TABLE public.{p} AS SELECT i AS id, 1 AS n FROM generate_series({at}, {at} + 99) i;"
                  "ALTER TABLE public.{p} ALTER id SET NOT NULL;" + ATTACH,
    "written anew": MAKE + FILL + ATTACH + "COMMIT; BEGIN; ALTER TABLE public.part ADD x float8 DEFAULT random();"
                    "ALTER TABLE public.part DROP x",
}

PARTITION_OF = "CREATE TABLE public.{p} PARTITION OF public.part FOR VALUES FROM ({at}) TO ({at} + 1000);"

# transactions, one after the other
EMPTY = {
    "owner changed": [PARTITION_OF, "ALTER TABLE public.{p} OWNER TO app", FILL],
    "owner changed at once": [PARTITION_OF + "ALTER TABLE public.{p} OWNER TO app;"
                              "GRANT SELECT (n) ON public.{p} TO app;" + FILL],
    "filled by several commands": [PARTITION_OF + FILL,
                                   "".join(f"INSERT INTO public.part VALUES ({{at}} + 200 + {i}, 1);"
                                           for i in range(20))],
    "split": ["INSERT INTO public.part SELECT i, 1 FROM generate_series({at}, {at} + 9) i",
              "CREATE TEMP TABLE {p}_rows AS SELECT * FROM public.part_rest WHERE id >= {at} AND id < {at} + 1000;"
              "DELETE FROM public.part_rest WHERE id >= {at} AND id < {at} + 1000;" + PARTITION_OF +
              "INSERT INTO public.part SELECT * FROM {p}_rows"],
    "attached": [MAKE + ATTACH, FILL],
    "attached, its owner changed": [MAKE + ATTACH, "ALTER TABLE public.{p} OWNER TO app", FILL],
    "attached and filled": [MAKE + ATTACH + FILL],
    "made before, never filled": [MAKE, ATTACH],
    "made before a savepoint": [MAKE + "SAVEPOINT a;" + ATTACH + "RELEASE a;"],
    "two levels": ["CREATE TABLE public.{p} (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
                   "CREATE TABLE public.{p}_a PARTITION OF public.{p} DEFAULT;" + ATTACH + FILL],
    "renamed": [PARTITION_OF.replace("{p}", "{p}_new"), "ALTER TABLE public.{p}_new RENAME TO {p}", FILL],
    "other schema": [PARTITION_OF, "ALTER TABLE public.{p} SET SCHEMA old_days",
                     FILL.replace("public", "old_days")],
}


def do(s, transactions, p, at):
    for statements in transactions:
        s.source.run("BEGIN;" + statements.format(p=p, at=at) + ";COMMIT")


def must_be_looked_at(s, migration):
    """The run has looked at the partitions, and recorded each."""
    made = "SELECT count(*) FROM pg_partition_tree('public.part') WHERE level > 0"
    until(lambda: s.target.value("SELECT count(*) FROM pgcrossfade.partition WHERE migration = %s",
                                 [migration.name]) == s.source.value(made),
          "the new partitions are in the ledger", alive=migration.must_run)


def same(s, migration):
    drain(migration)
    must_be_looked_at(s, migration)
    must_equal(migration)


def empty_ones(s, migration):
    """While it runs, and while it is down. It looks at the partitions once a second: at four, each time."""
    for number, transactions in enumerate(EMPTY.values()):
        do(s, transactions, f"up_{number}", 10000 + number * 1000)
        if number % 4 == 3:
            same(s, migration)
    same(s, migration)
    migration.terminate()
    for number, transactions in enumerate(EMPTY.values()):
        do(s, transactions, f"down_{number}", 30000 + number * 1000)
    migration.start()
    same(s, migration)


def beats(s, migration, count):
    """So many looks at the source are over."""
    beat = "SELECT beat_at FROM pgcrossfade.service WHERE migration = %s", [migration.name]
    for _ in range(count):
        last = s.target.value(*beat)
        until(lambda: s.target.value(*beat) != last, "a look at the source", alive=migration.must_run)


def locked_one(s, migration):
    """Whether it came empty cannot be asked while somebody holds it locked: nothing waits for that."""
    do(s, [MAKE + ATTACH], "locked", 50000)
    same(s, migration)
    s.source.run(MAKE.format(p="held"))
    with s.source.connect() as holder:
        cursor = holder.cursor()
        cursor.execute(ATTACH.format(p="held", at=51000))
        cursor.execute("COMMIT")
        cursor.execute("BEGIN; LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE")
        s.source.run("INSERT INTO public.plain VALUES (1, 1)")
        drain(migration)
        beats(s, migration, 2)
        if s.target.value("SELECT count(*) FROM pgcrossfade.partition WHERE name LIKE '%held'"):
            raise Failed("a locked partition was looked at")
    same(s, migration)


def must_stop(s, migration, kind, partition):
    """With wal2json nothing is missing."""
    if s.decoder == "wal2json":
        same(s, migration)
        migration.terminate()
    else:
        migration.ended(EXIT_USAGE)
        if f"{partition} was attached to public.part" not in migration.status()["error"]:
            raise Failed(f"{kind}: {migration.log_text()}")
    migration.command("abort")


def full_one(s, number, kind):
    """While one migration of the tables runs, and another is down."""
    p, at = f"full_{number}", 60000 + number * 1000
    if kind == "split":
        s.source.run(f"INSERT INTO public.part SELECT i, 1 FROM generate_series({at}, {at + 5}) i")
    up = s.migration(FLOWS, name=f"full{number}")
    down = s.migration(flows("other"), name=f"down{number}")
    up.start()
    down.start()
    for wait in [migration.begin("wait", "--for", "lag-zero") for migration in (up, down)]:
        up.finish(wait)
    down.terminate()
    do(s, [FULL[kind]], p, at)
    must_stop(s, up, kind, p)
    down.start()
    must_stop(s, down, kind, p)


def unlogged_one(s):
    migration = s.migration(FLOWS, name="unlogged")
    migration.start()
    migration.wait_for("lag-zero")
    do(s, [PARTITION_OF.replace("CREATE", "CREATE UNLOGGED") + FILL], "unlogged", 90000)
    migration.ended(EXIT_USAGE)
    if "unlogged is a partition of public.part, and unlogged or foreign" not in migration.status()["error"]:
        raise Failed(migration.log_text())
    migration.command("abort")


def renamed_one(s):
    """wal2json knows rows by the name that their table had, and what had another one is left out."""
    migration = s.migration(FLOWS, name="renamed")
    migration.start()
    migration.wait_for("lag-zero")
    migration.terminate()
    s.source.run("INSERT INTO public.part VALUES (-1, 1), (999999, 1)")
    s.source.run("ALTER TABLE public.part_rest RENAME TO part_other")
    migration.start()
    migration.ended(EXIT_USAGE)
    s.source.run("ALTER TABLE public.part_other RENAME TO part_rest")
    if s.decoder == "wal2json":
        migration.start()
        migration.ended(EXIT_USAGE)
        if "public.part_rest was renamed since" not in migration.status()["error"]:
            raise Failed(migration.log_text())
    migration.command("abort")


def scenario(s):
    migration = s.streaming(OLD, NEW.format(app="app"), FLOWS)
    empty_ones(s, migration)
    locked_one(s, migration)
    migration.terminate()
    migration.command("abort")
    s.target.run(NEW.format(app="other"))
    for number, kind in enumerate(FULL):
        full_one(s, number, kind)
    renamed_one(s)
    unlogged_one(s)
