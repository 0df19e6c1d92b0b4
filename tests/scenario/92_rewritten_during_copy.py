"""Old tables that DDL rewrites while they are copied: no row is lost, none comes twice.

A table that ALTER TABLE made anew is empty to a snapshot from before, and VACUUM FULL moves the
ctids that a table without key is cut by. Chunks wait at gates of the target, so that the DDL comes
before a table's first chunk, or waits for a chunk's end and comes between two. And it does come
then, in two databases too, not only when the generation ends. A snapshot that is gone is replaced.
"""
import contextlib
import threading

import psycopg2

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.{table} (id int {key}, v text, unread int){parted};
INSERT INTO public.{table} SELECT i, repeat(md5(i::text), 3), i FROM generate_series(1, {rows}) i
"""
NEW = """
CREATE TABLE app.{table} (id bigint {key}, v text)
"""
GATE = """
CREATE FUNCTION app.gate() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::int); RETURN NEW; END $$
"""

REWRITTEN = "{table} was rewritten after the snapshot was taken"


def tables(s, target, names, keyless=(), parted=(), rows=8000):
    """Makes them on both sides; returns their flows, in this order."""
    for table in names:
        key = "" if table in keyless else "PRIMARY KEY"
        s.source.run(OLD.format(table=table, key=key, rows=0 if table in parted else rows,
                                parted=" PARTITION BY RANGE (id)" if table in parted else ""))
        target.run(NEW.format(table=table, key=key))
        if table in keyless:
            s.source.run(f"ALTER TABLE public.{table} REPLICA IDENTITY FULL;"
                         f"DELETE FROM public.{table} WHERE id % 3 = 0")
        if table in parted:
            s.source.run(f"CREATE TABLE public.{table}_1 PARTITION OF public.{table} DEFAULT;"
                         f"INSERT INTO public.{table} SELECT i, i, i FROM generate_series(1, {rows}) i")
    return [Flow(f"public.{table}", f"app.{table}", key=() if table in keyless else ("id",),
                 select="SELECT id::bigint AS id, v FROM old") for table in names]


class Gate:
    """The chunk with that row of the new table waits while the gate is closed."""

    def __init__(self, target, table, row, lock):
        self.target, self.lock = target, lock
        target.run(f"CREATE TRIGGER gate_{lock} BEFORE INSERT ON app.{table} FOR EACH ROW"
                   f" WHEN (NEW.id = {row}) EXECUTE FUNCTION app.gate({lock})")
        self.holder = target.connect(autocommit=True)
        self.holder.cursor().execute("SELECT pg_advisory_lock(%s)", [lock])

    def reached(self, migration):
        until(lambda: self.target.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted",
            [self.lock]) == 1, f"a chunk waits at gate {self.lock}", alive=migration.must_run)

    def open(self):
        self.holder.close()


def waiting(s, table, count, migration):
    until(lambda: s.source.value(
        "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted",
        [f"public.{table}"]) == count, f"{count} wait for {table}", alive=migration.must_run)


@contextlib.contextmanager
def behind_a_chunk(s, table, statement, migration):
    """The statement waits for the table meanwhile; afterwards it is through."""
    connection = s.source.connect(autocommit=True)
    errors = []

    def execute():
        try:
            connection.cursor().execute(statement)
        except psycopg2.Error as e:
            errors.append(e)
    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    waiting(s, table, 1, migration)
    yield
    thread.join(20)
    if thread.is_alive():
        connection.cancel()
        thread.join()
    connection.close()
    if errors:
        raise Failed(f"{statement}: {errors[0]}")


def ends(migration, *rewritten):
    migration.wait_for("lag-zero")
    drain(migration)
    must_equal(migration)
    log = migration.log_text()
    for table in rewritten:
        if REWRITTEN.format(table=f"public.{table}") not in log:
            raise Failed(f"{table} was not found rewritten: the test shows nothing")
    migration.terminate()


def copied(s, table):
    return set(s.target.rows("SELECT no, lg::text, copied_at::text FROM pgcrossfade.chunk_copied"
                             " WHERE relation = %s", [f"public.{table}"]))


def before_first_chunk(s):
    """And DDL on the table that is copied comes between two chunks, though nothing is rewritten."""
    flows = tables(s, s.target, ("first", "typed", "parted"), parted=("parted",))
    migration = s.migration(flows, name="across", jobs=1, chunk_bytes="128kB")
    early, late = Gate(s.target, "first", 10, 1), Gate(s.target, "first", 8000, 2)
    typed = Gate(s.target, "typed", 10, 3)
    migration.start()
    early.reached(migration)
    with behind_a_chunk(s, "first", "ALTER TABLE public.first ADD COLUMN more int", migration):
        early.open()
    late.reached(migration)
    kept = copied(s, "first")
    s.source.run("ALTER TABLE public.typed ALTER unread TYPE bigint")
    s.source.run("UPDATE public.typed SET v = 'later' WHERE id % 7 = 0")
    late.open()
    typed.reached(migration)  # under the second snapshot
    s.source.run("ALTER TABLE public.parted ALTER unread TYPE bigint")
    s.source.run("UPDATE public.parted SET id = id + 10000 WHERE id % 7 = 0")
    typed.open()
    ends(migration, "typed", "parted")
    if len(kept) < 2 or not kept <= copied(s, "first"):
        raise Failed(f"chunks of first: {kept} before, {copied(s, 'first')} after")


def keyless_and_two_workers(s):
    """One worker has read the table when VACUUM FULL comes, the other comes after it."""
    flows = tables(s, s.target, ("small", "loose"), keyless=("small", "loose"))
    migration = s.migration(flows, name="apart", jobs=2, chunk_bytes="256kB")
    small, loose = Gate(s.target, "small", 7999, 4), Gate(s.target, "loose", 10, 5)
    migration.start()
    small.reached(migration)
    loose.reached(migration)
    with behind_a_chunk(s, "loose", "VACUUM FULL public.loose", migration):
        small.open()
        waiting(s, "loose", 2, migration)
        loose.open()
    ends(migration, "loose")


def between_chunks_of_one_database(s):
    s.source.run("CREATE SCHEMA app;" + GATE)
    flows = tables(s, s.source, ("inner_keyed", "inner_loose"), keyless=("inner_loose",))
    migration = s.migration(flows, target=s.source, name="inside", jobs=1, chunk_bytes="128kB")
    loose, keyed = Gate(s.source, "inner_loose", 2000, 6), Gate(s.source, "inner_keyed", 4000, 7)
    migration.start()
    loose.reached(migration)
    with behind_a_chunk(s, "inner_loose", "VACUUM FULL public.inner_loose", migration):
        loose.open()
    keyed.reached(migration)
    with behind_a_chunk(s, "inner_keyed", "ALTER TABLE public.inner_keyed"
                        " ADD COLUMN token uuid DEFAULT gen_random_uuid()", migration):
        keyed.open()
    ends(migration, "inner_loose", "inner_keyed")


def staged_in_one_database(s):
    """Rows that are joined to lookups are read in a transaction of their own, before the chunk's."""
    tables(s, s.source, ("inner_staged",))
    s.source.run("CREATE TABLE app.kind (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);"
                 "ALTER TABLE app.inner_staged ADD kind_id int; ALTER TABLE public.inner_staged ADD kind text;"
                 "UPDATE public.inner_staged SET kind = 'k' || id % 50")
    flows = [Flow("public.inner_staged", "app.kind", key=("name",), lookup=True,
                  select="SELECT DISTINCT kind AS name FROM old"),
             Flow("public.inner_staged", "app.inner_staged", key=("id",), at_target=True, select="""
                 SELECT o.id::bigint AS id, o.v, k.id AS kind_id FROM old o LEFT JOIN app.kind k ON k.name = o.kind
             """)]
    migration = s.migration(flows, target=s.source, name="staged", jobs=1, chunk_bytes="128kB")
    gate = Gate(s.source, "inner_staged", 4000, 12)
    migration.start()
    gate.reached(migration)
    s.source.run("ALTER TABLE public.inner_staged ALTER unread TYPE bigint")
    gate.open()
    ends(migration, "inner_staged")


def emptied(s, table, lock, **options):
    """To the snapshot a TRUNCATE is no other than a rewrite; rows that may be put aside do not tell
    their chunk, so that what was copied before goes, too."""
    flows = tables(s, s.target, (table,))
    migration = s.migration(flows, name=table, jobs=1, chunk_bytes="128kB", **options)
    gate = Gate(s.target, table, 4000, lock)
    migration.start()
    gate.reached(migration)
    with behind_a_chunk(s, table, f"TRUNCATE public.{table}", migration):
        gate.open()
    s.source.run(f"INSERT INTO public.{table} SELECT i, 'back', i FROM generate_series(1, 9000, 7) i")
    ends(migration, table)


def snapshot_lost(s, target, table, lock):
    """Each chunk imports the snapshot, so that another is needed when its connection has ended."""
    flows = tables(s, target, (table,))
    migration = s.migration(flows, target=target, name=table, jobs=1, chunk_bytes="128kB")
    gate = Gate(target, table, 4000, lock)
    migration.start()
    gate.reached(migration)
    s.source.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'")
    gate.open()
    ends(migration)
    if "import the snapshot" not in migration.log_text():
        raise Failed("the snapshot was not missed: the test shows nothing")


def scenario(s):
    s.target.run("CREATE SCHEMA app;" + GATE)
    before_first_chunk(s)
    keyless_and_two_workers(s)
    between_chunks_of_one_database(s)
    staged_in_one_database(s)
    emptied(s, "cleared", 8)
    emptied(s, "cleared_rejects", 9, rejects=5)
    snapshot_lost(s, s.target, "lost", 10)
    snapshot_lost(s, s.source, "inner_lost", 11)
