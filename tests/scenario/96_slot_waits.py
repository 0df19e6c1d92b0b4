"""The source makes no slot while a transaction is open: run waits, and hears what is asked of it.

So at the main slot, and at the temporary one of a later generation.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until
from harness.slow import slow_copy

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, note text);
CREATE TABLE public.other (id int);
INSERT INTO public.item SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, note text);
"""

FLOWS = [Flow("public.item", "app.item", key=("id",), select="SELECT id::bigint AS id, note FROM old")]

WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE_REPLICATION_SLOT%'
"""
BEAT = "SELECT beat_at FROM pgcrossfade.service WHERE migration = %s"
SLOTS = "SELECT count(*) FROM pg_replication_slots"


def held(s):
    """A transaction of somebody else's."""
    holder = s.source.connect()
    holder.cursor().execute("INSERT INTO public.other VALUES (1)")
    return holder


def until_it_waits(s, migration):
    until(lambda: s.source.value(WAITS) == 1, "the slot's creation waits", alive=migration.must_run)


def must_be_alive(s, migration):
    """Signs of life go on: two more, after the one before the wait began."""
    seen = BEAT, [migration.name]
    for _ in range(2):
        last = s.target.value(*seen)
        until(lambda: s.target.value(*seen) not in (None, last), "a sign of life", 10,
              alive=migration.must_run)


def main_slot(s, migration):
    holder = held(s)
    migration.start()
    until_it_waits(s, migration)
    must_be_alive(s, migration)
    migration.terminate(seconds=10)
    until(lambda: s.source.value(SLOTS) == 0, "no slot is left", 5)
    migration.start()
    until_it_waits(s, migration)
    migration.command("abort")
    migration.ended(0, 10)
    if s.source.value(SLOTS):
        raise Failed("abort left a slot")
    migration.start()
    until_it_waits(s, migration)
    holder.close()


def later_generation(s, migration):
    until(lambda: migration.chunks_copied() >= 1, "a chunk", alive=migration.must_run)
    holder = held(s)
    until_it_waits(s, migration)
    must_be_alive(s, migration)
    copied = migration.chunks_copied()
    migration.terminate(seconds=10)
    migration.start()
    until_it_waits(s, migration)
    holder.close()
    until(lambda: migration.chunks_copied() > copied, "the copy goes on", alive=migration.must_run)


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    slow_copy(s, "app.item", 0.1)
    migration = s.migration(FLOWS, chunk_bytes="64kB", snapshot_max_age="1s", jobs=1)
    main_slot(s, migration)
    later_generation(s, migration)
    drain(migration)
    must_equal(migration)
