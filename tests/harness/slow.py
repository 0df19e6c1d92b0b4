"""A copy that lasts, however fast the machine is; and one that waits between two snapshots."""
import contextlib

from .processes import until

SLOW = """
CREATE FUNCTION app.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
      IF (SELECT phase FROM pgcrossfade.migration) = 'copy' THEN PERFORM pg_sleep({seconds}); END IF;
      RETURN NULL;
    END $$;
CREATE TRIGGER slow AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION app.slow()
"""

# after a few chunks of the table
HOLD = """
CREATE OR REPLACE FUNCTION app.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) > 5 FROM pgcrossfade.chunk_copied WHERE relation = 'public.' || TG_TABLE_NAME)
    THEN PERFORM pg_advisory_xact_lock_shared(42); END IF;
    RETURN NULL; END $$;
CREATE TRIGGER hold BEFORE INSERT ON {table} EXECUTE FUNCTION app.hold()
"""


def slow_copy(s, table, seconds):
    """Each chunk of the new table takes that long at least; the stream does not."""
    s.target.run(SLOW.format(table=table, seconds=seconds))


@contextlib.contextmanager
def held_copy(s, migrations):
    """The copies, of one table each, wait in their first generation until that is too old for another chunk."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"
    old = "SELECT max(copied_at) < clock_timestamp() - interval '1.1 s' FROM pgcrossfade.chunk_copied"
    for migration in migrations:
        s.target.run(HOLD.format(table=migration.flows[0].target))
    with s.target.connect(autocommit=True) as holder:
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(42)")
            for migration in migrations:
                migration.start()
            until(lambda: s.target.value(waiting) == len(migrations), "the copies wait",
                  alive=lambda: [migration.must_run() for migration in migrations])
            yield
            until(lambda: s.target.value(old), "the snapshots are old")
    holder.close()
