"""Whoever holds the strongest lock on the old tables holds up neither the stream nor the run.

DDL left open in a session is such a holder. The run asks the source of its tables once a
second, and must not ask in a way that waits for them.
"""
import itertools
import time

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed, until

OLD = """
CREATE TABLE public.event (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE public.event_1 PARTITION OF public.event FOR VALUES FROM (0) TO (10);
CREATE TABLE public.plain (id int PRIMARY KEY, n int);
CREATE TABLE public.locked (id int PRIMARY KEY, n int);
INSERT INTO public.event SELECT i, i % 10 FROM generate_series(1, 1000) i;
INSERT INTO public.plain SELECT i, i FROM generate_series(1, 1000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.event (id bigint, day bigint, PRIMARY KEY (id, day));
CREATE TABLE app.plain (id bigint PRIMARY KEY, n bigint);
CREATE TABLE app.locked (id bigint PRIMARY KEY, n bigint);
"""

FLOWS = [Flow("public.event", "app.event", key=("id", "day"),
              select="SELECT id::bigint AS id, day::bigint AS day FROM old"),
         *(Flow(f"public.{name}", f"app.{name}", key=("id",),
                select="SELECT id::bigint AS id, n::bigint AS n FROM old")
           for name in ("plain", "locked"))]


def arrives(s, migration, n):
    s.source.run(f"UPDATE public.plain SET n = {n + 5000} WHERE id = {n}")
    until(lambda: s.target.value("SELECT n FROM app.plain WHERE id = %s", [n]) == n + 5000,
          "the update arrives", seconds=5, alive=migration.must_run)


def must_be_named(migration, pid):
    """By a cutover that gives up; neither it nor status waits for the holder."""
    migration.status()
    outcome = migration.command("cutover", expect=EXIT_BAD)
    if f"pid {pid}" not in outcome.text:
        raise Failed(f"pid {pid} is not named: {outcome.text}")


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS,
                            more="cutover: {lock_timeout: 200ms, max_pause: 2s, tries: 2}")
    holder = s.source.connect()
    holder.cursor().execute("LOCK TABLE public.event, public.locked IN ACCESS EXCLUSIVE MODE")
    end = time.monotonic() + 4  # the run has asked the source in between
    for n in itertools.count(1):
        arrives(s, migration, n)
        if time.monotonic() > end:
            break
    must_be_named(migration, holder.info.backend_pid)
    arrives(s, migration, 999)
    holder.rollback()
    holder.close()
    drain(migration)
    must_equal(migration)
