"""Memory stays bounded whatever comes: a large transaction, a large row, a long backlog.

The figures are of the release build: sanitizers keep freed memory. The bound is 256 MB and
a few times the largest row (as text: a bytea is twice its size).
"""
import time

from harness.compare import differences
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed

ROUNDS = (1, 10)  # of 200,000 rows in one transaction

MB = 1 << 20
BUDGET = 256 * MB
TIMES = 5             # the largest row, this often
LARGE = 64 * MB       # bytes of the large values
BACKLOG = {False: 60 * MB, True: 5 << 30}  # in the suite, in the soak

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, n int, note text);
CREATE TABLE public.large (id int PRIMARY KEY, n int, body text, blob bytea);
ALTER TABLE public.large ALTER body SET STORAGE EXTERNAL, ALTER blob SET STORAGE EXTERNAL;
CREATE TABLE public.log (id bigint PRIMARY KEY, body text);
ALTER TABLE public.log ALTER body SET STORAGE EXTERNAL;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, n bigint, note text);
CREATE TABLE app.large (id bigint PRIMARY KEY, n bigint, content text, blob bytea);
CREATE TABLE app.log (id bigint PRIMARY KEY, body text);
"""

FLOWS = [
    Flow("public.item", "app.item", key=("id",),
         select="SELECT id::bigint AS id, n::bigint AS n, note FROM old"),
    Flow("public.large", "app.large", key=("id",),
         select="SELECT id::bigint AS id, n::bigint AS n, body AS content, blob FROM old"),
    Flow("public.log", "app.log", key=("id",), select="SELECT id, body FROM old"),
]

TEXT = f"INSERT INTO public.large VALUES (%s, 1, repeat('0123456789abcdef', {LARGE // 16}), NULL)"
BYTEA = (f"INSERT INTO public.large VALUES"
         f" (%s, 1, NULL, decode(repeat('0123456789abcdef', {LARGE // 8}), 'hex'))")

HALF = f"repeat('0123456789abcdef', {500 * MB // 16})"
HEX = " || ".join([f"decode(repeat('0123456789abcdef', {125 * MB // 8}), 'hex')"] * 4)  # 500 MB

SAME = "SELECT id, n, md5(body), md5(blob) FROM public.large ORDER BY id"
SAME_NEW = "SELECT id, n, md5(content), md5(blob) FROM app.large ORDER BY id"

LOG = "SELECT count(*), sum(id), sum(hashtextextended(body, id)::numeric) FROM {}"


def must_stay_under(migration, bound, what):
    peak = migration.peak_memory()
    print(f"{what}: {peak // MB} MB at most, bound {bound // MB} MB", flush=True)
    if peak > bound:
        raise Failed(f"{what}: {peak // MB} MB of memory, more than {bound // MB} MB")


def large_rows_must_equal(s):
    if s.source.rows(SAME) != s.target.rows(SAME_NEW):
        raise Failed("the large rows differ")


def large_rows(s, migration):
    """Copied, inserted, moved, deleted; 64 MB as text, 64 MB of bytes."""
    for id, insert in ((1, TEXT), (2, BYTEA)):
        s.source.run(insert, [id])
    migration.start()
    migration.wait_for("lag-zero", seconds=120)
    large_rows_must_equal(s)
    must_stay_under(migration, BUDGET + TIMES * 2 * LARGE, "64 MB values copied")
    migration.terminate()
    migration.start()
    for id, insert in ((3, TEXT), (4, BYTEA)):
        s.source.run(insert, [id])
    s.source.run("UPDATE public.large SET n = 2")
    s.source.run("UPDATE public.large SET id = id + 100 WHERE id > 2")
    s.source.run("DELETE FROM public.large WHERE id = 1")
    drain(migration, 150)
    large_rows_must_equal(s)
    must_stay_under(migration, BUDGET + TIMES * 2 * LARGE, "64 MB values streamed")
    s.source.run("TRUNCATE public.large")
    drain(migration)


def very_large_rows(s, migration):
    """Half of what PostgreSQL puts into one message, and nearly all of it."""
    s.source.run("ALTER SYSTEM SET wal_sender_timeout = '5min'")
    s.source.run("SELECT pg_reload_conf()")
    for id, column, value, megabytes in ((5, "body", HALF, 500), (6, "blob", HEX, 1000)):
        s.source.run(f"INSERT INTO public.large (id, n, {column}) VALUES ({id}, 1, {value})")
        drain(migration, 400)
        large_rows_must_equal(s)
        must_stay_under(migration, BUDGET + TIMES * megabytes * MB, f"{megabytes} MB in a row")
    s.source.run("TRUNCATE public.large")
    drain(migration)


def too_large_row(s):
    """run says so and ends; started again, the copy has the row."""
    migration = s.migration(FLOWS[1:2], name="toolarge", build="release")
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run(f"INSERT INTO public.large (id, n, blob) VALUES (7, 1, {HEX} || {HEX[:HEX.index(' ||')]})")
    migration.ended(EXIT_USAGE, 300)
    if "cannot stream the change of a row" not in migration.log_text():
        raise Failed("run does not say why it ended")
    migration.command("abort")
    migration.start()
    migration.wait_for("lag-zero", 300)
    large_rows_must_equal(s)
    migration.command("abort")


def large_transaction(s, migration):
    rows = 200000 * s.rounds
    migration.terminate()
    migration.start()
    s.source.run("INSERT INTO public.item SELECT i, i, 'note ' || i FROM generate_series(1, %s) i;"
                 "UPDATE public.item SET n = n + 1 WHERE id %% 20 = 0;"
                 "DELETE FROM public.item WHERE id %% 30 = 0", [rows])
    drain(migration, 60 * s.rounds)
    must_stay_under(migration, BUDGET, f"a transaction of {rows} rows")


def backlog(s, migration):
    """All kept by the slot while run was down; in transactions of 4 MB."""
    migration.terminate()
    wanted = BACKLOG[s.rounds > 1]
    for first in range(0, wanted // 4096, 1024):
        s.source.run("INSERT INTO public.log SELECT i, repeat(md5(i::text), 128)"
                     " FROM generate_series(%s, %s) i", [first + 1, first + 1024])
    began = time.monotonic()
    migration.start()
    drain(migration, 60 + wanted // MB)
    print(f"{wanted // MB} MB drained in {time.monotonic() - began:.0f} s")
    must_stay_under(migration, BUDGET, f"a backlog of {wanted // MB} MB")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, build="release")
    large_rows(s, migration)
    if s.rounds > 1:
        very_large_rows(s, migration)
    large_transaction(s, migration)
    backlog(s, migration)
    lines = differences(s.source, s.target, FLOWS[:2])
    if lines:
        raise Failed("\n".join(lines))
    if s.source.row(LOG.format("public.log")) != s.target.row(LOG.format("app.log")):
        raise Failed("the backlog differs")  # too long to be compared row by row
    if s.rounds > 1:
        migration.command("abort")
        too_large_row(s)
