"""The stream takes over from the drain of a backlog once the target has what was read.

The stream decodes again from where the slot stands. So while the target is held up by a lock the
source is not made to do that; what it commits meanwhile is read by SQL as well.
"""
import time

from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed, until

JOURNAL = "INSERT INTO public.journal SELECT i, %s, repeat('j', 500) FROM generate_series(1, %s) i"

RESTING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgcrossfade%%' AND query LIKE 'SELECT pg_sleep%%'
"""
STREAMS = "SELECT count(*) FROM pg_stat_replication"


def rests(s, migration):
    until(lambda: s.source.value(RESTING) == 1, "the backlog is read", every=0.01, alive=migration.must_run)


def no_stream(s, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if s.source.value(STREAMS) != 0:
            raise Failed("the stream took over while the target was behind")
        time.sleep(0.05)


def scenario(s):
    migration = bank.stopped(s, accounts=1000, entries=0)
    s.source.run("UPDATE public.account SET balance = 1 WHERE id = 1")
    s.source.run(JOURNAL, [1, 40000])
    s.source.run("CHECKPOINT")
    end = s.source.value("SELECT redo_lsn FROM pg_control_checkpoint()")
    with s.target.connect() as holder:
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM app.account WHERE id = 1 FOR UPDATE")
            migration.start()
            rests(s, migration)
            s.source.run(JOURNAL, [2, 10000])
            no_stream(s, 2)
            rests(s, migration)
        holder.rollback()
    holder.close()
    until(lambda: s.source.value(STREAMS) == 1, "the stream takes over", alive=migration.must_run)
    stands = s.source.value("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = %s", [migration.slot])
    if s.source.value("SELECT %s::pg_lsn < %s::pg_lsn", [stands, end]):
        raise Failed(f"the stream reads from {stands} again, and all before {end} had been read")
    drain(migration)
    must_equal(migration)
