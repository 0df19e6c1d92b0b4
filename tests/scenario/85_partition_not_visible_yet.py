"""A partition whose making is decoded before the source's other sessions see it.

The commit that makes it waits for a standby: its WAL is there, the table is not, and whose
partition it is can be told only when the wait is over. Changes after it wait as well.
"""
from harness import standby
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until

OLD = """
CREATE TABLE public.event (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE public.event_1 PARTITION OF public.event FOR VALUES FROM (0) TO (10);
INSERT INTO public.event SELECT i, i % 10 FROM generate_series(1, 1000) i;
CREATE TABLE public.plain (id int PRIMARY KEY);
CREATE TABLE public.other (id int);
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.event (id bigint, day bigint, PRIMARY KEY (id, day));
CREATE TABLE app.plain (id bigint PRIMARY KEY);
"""

FLOWS = [Flow("public.event", "app.event", key=("id", "day"),
              select="SELECT id::bigint AS id, day::bigint AS day FROM old"),
         Flow("public.plain", "app.plain", key=("id",), select="SELECT id::bigint AS id FROM old")]

# some of each: known before, made here, of no migration
MADE = """
BEGIN;
INSERT INTO public.event VALUES ({day}, 1);
CREATE TABLE public.event_{day} PARTITION OF public.event FOR VALUES FROM ({day}) TO ({day} + 10);
INSERT INTO public.other VALUES (1);
INSERT INTO public.event SELECT i, {day} FROM generate_series(1, 500) i;
CREATE TABLE public.nobody_{day} (id int);
INSERT INTO public.nobody_{day} VALUES (1);
DELETE FROM public.event WHERE day = {day} AND id % 2 = 0;
COMMIT;
"""

LATER = "SET synchronous_commit = local; INSERT INTO public.plain VALUES ({day})"

# wal2json opens what it decodes: its walsender waits at the source by itself
SERVER_WAITS = """
SELECT count(*) > 0 FROM pg_stat_activity
 WHERE application_name LIKE 'pgcrossfade%' AND wait_event_type = 'Lock'
"""


def met(s, migration):
    return "event=transaction.not_visible" in migration.log_text() or s.source.value(SERVER_WAITS)


def make(s, migration, day):
    """In doubt as long as the commit waits; the run goes on and answers meanwhile."""
    standby.hold_commits(s.source)
    maker = standby.Session(s.source)
    maker.send(MADE.format(day=day))
    until(lambda: maker.pid in standby.waiting(s.source), "the commit waits")
    s.source.run(LATER.format(day=day))
    until(lambda: met(s, migration), "the run meets it", alive=migration.must_run)
    return maker


def must_not_pass(s, migration, day):
    if s.target.value("SELECT count(*) FROM app.event WHERE day = %s", [day]) or \
            s.target.value("SELECT count(*) FROM app.plain WHERE id = %s", [day]):
        raise Failed("applied before it was visible, or what came after it was")
    if not migration.status()["lag_bytes"]:
        raise Failed("no lag, though a transaction waits")


def comes_to_light(s, migration, maker):
    standby.release_commits(s.source)
    maker.receive()
    drain(migration)
    must_equal(migration)


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
    maker = make(s, migration, 10)
    must_not_pass(s, migration, 10)
    comes_to_light(s, migration, maker)

    maker = make(s, migration, 20)
    migration.terminate()  # it ends at once, and begins there again
    migration.start()
    comes_to_light(s, migration, maker)
