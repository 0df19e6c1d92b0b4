"""Nobody writes the old tables after the switch: not a subscription, not into a partition made later.

And no row goes by the migration: an inheritance child that is made meanwhile stops the run.
"""
import psycopg2

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD, EXIT_USAGE
from harness.processes import Failed, until

SERVERS = 1
DECODER_MATTERS = False

TABLES = """
CREATE TABLE public.fed (id int PRIMARY KEY, v text);
CREATE TABLE public.parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE public.parted_0 PARTITION OF public.parted FOR VALUES FROM (0) TO (1000);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (1000) TO (2000) PARTITION BY HASH (id);
CREATE TABLE public.parted_1a PARTITION OF public.parted_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
"""

FEED = """
INSERT INTO public.fed SELECT i, 'x' FROM generate_series(1, 100) i;
INSERT INTO public.parted SELECT i, 'x' FROM generate_series(901, 1100) i;
"""

SUBSCRIBE = """
CREATE SUBSCRIPTION feed CONNECTION '{conninfo}' PUBLICATION feed
  WITH (create_slot = false, copy_data = false, slot_name = 'feed')
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.fed (id bigint PRIMARY KEY, v text);
CREATE TABLE app.parted (id bigint PRIMARY KEY, v text);
"""

FLOWS = [Flow(f"public.{name}", f"app.{name}", key=("id",), select="SELECT id::bigint AS id, v FROM old")
         for name in ("fed", "parted")]

CONTENTS = "SELECT (SELECT count(*) FROM public.fed), (SELECT count(*) FROM public.parted)"


def subscribe(s):
    """The old tables are fed by another database."""
    upstream = s.servers[0].database("upstream")
    upstream.run(TABLES)
    upstream.run("CREATE PUBLICATION feed FOR ALL TABLES")
    upstream.rows("SELECT pg_create_logical_replication_slot('feed', 'pgoutput')")
    s.source.run(TABLES)
    s.source.run(SUBSCRIBE.format(conninfo=upstream.conninfo))
    upstream.run(FEED)
    until(lambda: s.source.row(CONTENTS) == (100, 200), "the subscription")
    return upstream


def worker_failed(server, before):
    """Since the log was that long, has the subscription's worker met the freeze?"""
    with open(server.log, errors="replace") as log:
        log.seek(before)
        return "is frozen" in log.read()


def refused_to_subscription(s, upstream, statement):
    """The worker tries again and again; the publisher keeps the change."""
    before = s.source.row(CONTENTS)
    with open(s.servers[0].log, "rb") as log:
        log.seek(0, 2)
        length = log.tell()
    upstream.run(statement)
    until(lambda: worker_failed(s.servers[0], length), f"the freeze refuses it: {statement}")
    if s.source.row(CONTENTS) != before:
        raise Failed(f"written by the subscription: {statement}")


def frozen(s, statement):
    try:
        s.source.run(statement)
    except psycopg2.Error as e:
        if "is frozen: migration demo has switched" in str(e):
            return
        raise
    raise Failed(f"not frozen: {statement}")


def after_the_switch(s, upstream):
    refused_to_subscription(s, upstream, "INSERT INTO public.fed VALUES (101, 'late')")
    s.source.run("ALTER SUBSCRIPTION feed DISABLE; ALTER SUBSCRIPTION feed SET (slot_name = NONE)")
    s.source.run("DROP SUBSCRIPTION feed")
    s.source.run("CREATE TABLE public.parted_2 PARTITION OF public.parted FOR VALUES FROM (2000) TO (3000);"
                 "CREATE TABLE public.parted_3 (id int PRIMARY KEY, v text);"
                 "INSERT INTO public.parted_3 VALUES (3000, 'its own');"
                 "ALTER TABLE public.parted ATTACH PARTITION public.parted_3 FOR VALUES FROM (3000) TO (4000)")
    for statement in ("INSERT INTO public.parted_2 VALUES (2001, 'late')",
                      "INSERT INTO public.parted VALUES (2001, '')", "DELETE FROM public.parted_3",
                      "COPY public.parted_2 FROM PROGRAM 'echo 2001,x' (FORMAT csv)",
                      "DELETE FROM public.parted_1a WHERE false", "UPDATE public.fed SET v = '' WHERE false",
                      "TRUNCATE public.parted_0", "TRUNCATE public.fed"):
        frozen(s, statement)
        frozen(s, "SET LOCAL session_replication_role = replica;" + statement)


def own_writer_passes(s):
    """Whoever names the migration writes what it says, and no less."""
    s.source.run("SET LOCAL pgcrossfade.writer = 'demo';"
                 "INSERT INTO public.parted VALUES (5, 'own'), (2005, 'own');"
                 "INSERT INTO public.fed VALUES (1001, 'a');"
                 "UPDATE public.fed SET v = 'b' WHERE id = 1001; DELETE FROM public.fed WHERE id = 1")
    found = s.source.rows("SELECT id, v FROM public.parted WHERE v = 'own' UNION SELECT id, v FROM public.fed"
                          " WHERE id IN (1, 1001) ORDER BY 1")
    if found != [(5, "own"), (1001, "b"), (2005, "own")]:
        raise Failed(f"its own writes came out as {found}")


def ends(s, migration):
    """What was taken off an old table, to be kept, is kept, and can be written."""
    s.source.run("ALTER TABLE public.parted DETACH PARTITION public.parted_0")
    migration.command("complete", "--drop-old-tables")
    migration.ended(0)
    left = s.source.rows("SELECT relname FROM pg_class WHERE relname ~ '^(fed|parted)' AND relkind IN ('r', 'p')"
                         " AND relnamespace = 'public'::regnamespace")
    if left != [("parted_0",)] or s.source.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgcrossfade'"):
        raise Failed(f"{left} are left, or the freeze is")
    s.source.run("UPDATE public.parted_0 SET v = 'kept'")


CHILD = "CREATE TABLE public.child () INHERITS (public.parent); INSERT INTO public.child VALUES (1000, 'child')"
INHERITS = "public.child inherits from public.parent since the migration began"


def child_in_the_cutover(s, flow):
    """Made by the hook, after the last look before the lock: the cutover looks again under it."""
    hook = f"hooks: {{before_cutover: 'psql -qc \"CREATE TABLE public.child () INHERITS (public.parent)\"" \
           f" \"{s.source.conninfo}\"'}}"
    migration = s.migration([flow], name="hooked", more=hook)
    migration.start()
    migration.wait_for("lag-zero")
    outcome = migration.command("cutover", expect=EXIT_BAD)
    if INHERITS not in outcome.text:
        raise Failed(outcome.text)
    s.source.run("INSERT INTO public.parent VALUES (1, 'not frozen') ON CONFLICT DO NOTHING")
    migration.ended(EXIT_USAGE)
    migration.command("abort")
    s.source.run("DROP TABLE public.child")


def child_made_meanwhile(s, flow):
    """Stops the run, which goes on when the child is none any more."""
    migration = s.migration([flow], name="child")
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run(CHILD)
    migration.ended(EXIT_USAGE)
    if INHERITS not in migration.status()["error"]:
        raise Failed(migration.log_text())
    s.source.run("ALTER TABLE public.child NO INHERIT public.parent")
    migration.start()
    drain(migration)
    must_equal(migration)
    migration.terminate()
    migration.command("abort")


def children(s):
    flow = Flow("public.parent", "app.parent", key=("id",), select="SELECT id::bigint AS id, v FROM old")
    s.source.run("CREATE TABLE public.parent (id int PRIMARY KEY, v text);"
                 "INSERT INTO public.parent SELECT i, 'x' FROM generate_series(1, 100) i")
    s.target.run("CREATE TABLE app.parent (id bigint PRIMARY KEY, v text)")
    child_in_the_cutover(s, flow)
    child_made_meanwhile(s, flow)


def scenario(s):
    upstream = subscribe(s)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    must_equal(migration)
    migration.command("cutover")
    after_the_switch(s, upstream)
    own_writer_passes(s)
    ends(s, migration)
    children(s)
