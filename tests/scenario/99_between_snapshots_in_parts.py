"""One server: a transaction in parts moves rows with long values between chunks of two snapshots.

Such a row is read again under a snapshot that the source gives nobody while run's own transaction
is open there. kill -9, a lost snapshot, a table rewritten meanwhile and rejects change nothing.
"""
from harness.flow import Flow
from harness.processes import Failed, until
from harness.rejects import must_be_put_aside
from harness.slow import held_copy

SERVERS = 1

OLD = """
CREATE TABLE public.doc (id int PRIMARY KEY, place int, body text, n int);
ALTER TABLE public.doc ALTER body SET STORAGE EXTERNAL;
INSERT INTO public.doc
SELECT i, i, CASE WHEN i % 40 = 0 THEN (SELECT string_agg(md5((i * 1000 + k)::text), '') FROM generate_series(1, 300) k)
                  ELSE repeat(md5(i::text), 5) END, i % 100
FROM generate_series(1, 6000) i;
"""

# a row with a negative n waits for the lock of that number
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.doc (id bigint PRIMARY KEY, place int UNIQUE DEFERRABLE INITIALLY DEFERRED, body text,
    n int CONSTRAINT small CHECK (n < 1000));
CREATE FUNCTION app.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared(-NEW.n); RETURN NEW; END $$;
CREATE TRIGGER wait BEFORE INSERT ON app.doc FOR EACH ROW WHEN (NEW.n < 0) EXECUTE FUNCTION app.wait();
"""

FLOWS = [Flow("public.doc", "app.doc", key=("id",), select="SELECT id::bigint AS id, place, body, n FROM old")]
COLUMNS = {"doc": ("id", "place", "body", "n")}

# more than a part, before all that is copied first
PART = """
INSERT INTO public.doc SELECT -i, -i, repeat('x', 1900), CASE i WHEN {first} + 9 THEN {n} ELSE 0 END
FROM generate_series({first}, {first} + 599) i;
"""
FIRST, SECOND = 701, 702

# nothing is read again of the first, but of the one that comes with its last part
PLAIN = PART.format(first=20000, n=0) + PART.format(first=22000, n=0)
RIGHT_AFTER = "UPDATE public.doc SET id = -5 WHERE id = 5720"

IN_PARTS = (PART.format(first=1000, n=0) + "UPDATE public.doc SET id = -1 WHERE id = 5600;"
            + PART.format(first=3000, n=-FIRST) + "UPDATE public.doc SET id = -2 WHERE id = 5640;"
            + PART.format(first=5000, n=-SECOND) + "UPDATE public.doc SET id = -3, n = 3 WHERE id = 5680;"
            "UPDATE public.doc SET n = 4 WHERE id = -3; UPDATE public.doc SET id = -4 WHERE id = -2;"
            + PART.format(first=7000, n=0))

# a CHECK refuses two rows, one of them moved, and a key that is looked at late another moved one
REFUSED = (PART.format(first=11000, n=5000) + PART.format(first=13000, n=0)
           + "UPDATE public.doc SET id = -6 WHERE id = 5760; UPDATE public.doc SET id = -7, n = 6000 WHERE id = 5800;"
           "UPDATE public.doc SET id = -8, place = -13500 WHERE id = 5840;"
           + PART.format(first=15000, n=0))
PUT_ASIDE = [("doc", -11009), ("doc", -7), ("doc", -8)]

WAITING = "FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
LOSE_SNAPSHOT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE state = 'idle in transaction' AND application_name LIKE 'pgcrossfade%' AND datname = current_database()
"""


def until_it_waits(s, migration, number):
    """Within the transaction in parts, at the row of that number."""
    until(lambda: s.target.value("SELECT count(*) " + WAITING, [number]), f"a part waits at {number}",
          alive=migration.must_run)


def killed(s, migration):
    migration.kill9()
    s.target.run("SELECT pg_terminate_backend(pid, 10000) " + WAITING, [FIRST])
    migration.start()


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, chunk_bytes="128kB", snapshot_max_age="1s", jobs=1, memory="16MB", rejects=10)
    with held_copy(s, [migration]):
        for statements in (PLAIN, RIGHT_AFTER, IN_PARTS, REFUSED):
            s.source.run(statements)
        s.target.run("SELECT pg_advisory_lock(%s), pg_advisory_lock(%s)", [FIRST, SECOND])
    until_it_waits(s, migration, FIRST)
    killed(s, migration)
    until_it_waits(s, migration, FIRST)
    s.source.run("VACUUM FULL public.doc")
    s.target.run("SELECT pg_advisory_unlock(%s)", [FIRST])
    until_it_waits(s, migration, SECOND)
    if s.source.value(LOSE_SNAPSHOT) != 1:
        raise Failed("no snapshot is held")
    s.target.run("SELECT pg_advisory_unlock(%s)", [SECOND])
    must_be_put_aside(migration, COLUMNS, PUT_ASIDE, "refused")
    for text in ("streamed again, under a snapshot", "rewritten after the snapshot", "met a refused row",
                 "was refused at its end"):
        if text not in migration.log_text():
            raise Failed(f"nothing {text}: the test shows nothing")
