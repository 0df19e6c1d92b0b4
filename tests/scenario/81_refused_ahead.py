"""A batch is refused while the next one is under way already.

The target is held up by a lock, so that batches pile up; in each of them two rows swap a
unique value step by step, which no set-based statement can write. What follows a refused
batch must neither be committed before it nor get lost.
"""
from harness.compare import must_equal
from harness.drain import drain, until_received
from harness.flow import Flow
from harness.processes import until

OLD = """
CREATE TABLE public.seat (id int PRIMARY KEY, place int NOT NULL UNIQUE);
CREATE TABLE public.visit (id int PRIMARY KEY, seat int NOT NULL, times int NOT NULL);
INSERT INTO public.seat SELECT i, i FROM generate_series(1, 200) i;
INSERT INTO public.visit SELECT i, i % 200 + 1, 0 FROM generate_series(1, 6000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.seat (id bigint PRIMARY KEY, place int NOT NULL UNIQUE);
CREATE TABLE app.visit (id bigint PRIMARY KEY, seat bigint NOT NULL, times int NOT NULL);
"""

FLOWS = [
    Flow("public.seat", "app.seat", key=("id",),
         select="SELECT id::bigint AS id, place FROM old"),
    Flow("public.visit", "app.visit", key=("id",),
         select="SELECT id::bigint AS id, seat::bigint AS seat, times FROM old"),
]

BATCHES = 5  # two updates of all visits are more than one batch takes


def pile_up(s):
    """Changes for several batches, with a swap in each."""
    for _ in range(BATCHES):
        a, b = s.rng.sample(range(1, 201), 2)
        place_a, place_b = (s.source.value("SELECT place FROM public.seat WHERE id = %s", [i])
                            for i in (a, b))
        s.source.run("UPDATE public.visit SET times = times + 1")
        for place, seat in ((-1, a), (place_a, b), (place_b, a)):
            s.source.run("UPDATE public.seat SET place = %s WHERE id = %s", [place, seat])
        s.source.run("UPDATE public.visit SET times = times + 1")


def refused(s):
    return s.target.value(
        "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
    before = refused(s)
    with s.target.connect() as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE app.visit IN SHARE MODE")
        pile_up(s)
        until_received(migration)
        holder.rollback()
    holder.close()
    drain(migration)
    must_equal(migration)
    until(lambda: refused(s) >= before + BATCHES, f"{BATCHES} batches are refused",
          alive=migration.must_run)
