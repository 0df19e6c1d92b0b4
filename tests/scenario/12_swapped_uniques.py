"""Rows swap unique values, within a transaction and across transactions of one batch.

A set-based statement cannot write these: the exact-order fallback does.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow

OLD = """
CREATE TABLE public.seat (id int PRIMARY KEY, place int NOT NULL UNIQUE, holder text);
CREATE TABLE public.rank (
    id int PRIMARY KEY, place int NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE, holder text);
INSERT INTO public.seat SELECT i, i, 'holder ' || i FROM generate_series(1, 2000) i;
INSERT INTO public.rank SELECT i, i, 'holder ' || i FROM generate_series(1, 2000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.seat (id bigint PRIMARY KEY, place int NOT NULL UNIQUE, holder text);
CREATE TABLE app.rank (
    id bigint PRIMARY KEY, place int NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE, holder text);
"""

FLOWS = [
    Flow("public.seat", "app.seat", key=("id",), select="""
        SELECT id::bigint AS id, place, holder FROM old
    """),
    Flow("public.rank", "app.rank", key=("id",), select="""
        SELECT id::bigint AS id, place, holder FROM old
    """),
]


def swap_by_a_free_place(s, together):
    """Three steps, each right for itself: in one transaction, or in three."""
    a, b = s.rng.sample(range(1, 2001), 2)
    place_a, place_b = (s.source.value("SELECT place FROM public.seat WHERE id = %s", [i])
                        for i in (a, b))
    steps = [(-1, a), (place_a, b), (place_b, a)]
    with s.source.connect() as connection, connection.cursor() as cursor:
        for place, row in steps:
            cursor.execute("UPDATE public.seat SET place = %s WHERE id = %s", [place, row])
            if not together:
                connection.commit()
    connection.close()


def swap_at_once(s):
    """One UPDATE: the constraint is looked at when it is done."""
    a, b = s.rng.sample(range(1, 2001), 2)
    s.source.run("""
        UPDATE public.rank r SET place = o.place
        FROM public.rank o
        WHERE (r.id, o.id) IN ((%s, %s), (%s, %s))""", [a, b, b, a])


def rotate_all(s):
    s.source.run("UPDATE public.rank SET place = CASE place WHEN 2000 THEN 1 ELSE place + 1 END")


def swaps(s):
    for _ in range(15):
        swap_by_a_free_place(s, together=True)
        swap_by_a_free_place(s, together=False)
        swap_at_once(s)
    rotate_all(s)


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    migration.start()
    migration.wait_for("stream")
    swaps(s)
    drain(migration)
    must_equal(migration)
    # what waits in the slot comes as batches of many transactions
    migration.terminate()
    swaps(s)
    migration.start()
    drain(migration)
    must_equal(migration)
