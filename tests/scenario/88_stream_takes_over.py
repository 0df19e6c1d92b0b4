"""The stream takes over from the drain of a backlog once the target has what was read.

The stream decodes again from where the slot stands. So while the target is held up by a lock the
source is not made to do that; what it commits meanwhile is read by SQL as well, and all that there is to
begin with. Nor does a cutover make writers wait for it.
"""
import time

from harness import bank
from harness.compare import differences, must_equal
from harness.drain import drain
from harness.processes import Failed, until

# few long rows: WAL is what counts
JOURNAL = "INSERT INTO public.journal SELECT i, %s, repeat('j', 1900) FROM generate_series(1, %s) i"

RESTING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgcrossfade%%' AND query LIKE 'SELECT pg_sleep%%'
"""
STREAMS = "SELECT count(*) FROM pg_stat_replication"
LOCKED = "SELECT count(*) FROM pg_locks WHERE relation = 'public.journal'::regclass AND mode ~ 'Exclusive' AND pid <> pg_backend_pid()"


def rests(s, migration):
    until(lambda: s.source.value(RESTING) == 1, "the backlog is read", every=0.01, alive=migration.must_run)


def none_for(s, seconds, query, what, meanwhile=lambda: None):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if s.source.value(query) != 0:
            raise Failed(what)
        meanwhile()
        time.sleep(0.05)


class Held:
    """A row of the target that the backlog changes first."""

    def __init__(self, s, migration, balance, entries=11000):
        self.s, self.migration, self.holder = s, migration, None
        s.source.run("UPDATE public.account SET balance = %s WHERE id = 1", [balance])
        s.source.run(JOURNAL, [balance, entries])

    def __enter__(self):
        self.holder = self.s.target.connect()
        self.holder.cursor().execute("SELECT FROM app.account WHERE id = 1 FOR UPDATE")
        self.migration.start()
        rests(self.s, self.migration)
        return self

    def __exit__(self, *_):
        self.holder.close()

    def no_stream(self, seconds, meanwhile=lambda: None):
        none_for(self.s, seconds, STREAMS, "the stream took over while the target was behind", meanwhile)


def takes_over(s, migration):
    until(lambda: s.source.value(STREAMS) == 1, "the stream takes over", alive=migration.must_run)


def ends(s, migration):
    """Rows of the journal only come, each with its part's delta: they are compared when all is over."""
    drain(migration)
    lines = differences(s.source, s.target, bank.FLOWS[:1])
    if lines:
        raise Failed("\n".join(lines))
    migration.terminate()


def read_once(s, migration):
    held = Held(s, migration, 1)
    s.source.run("CHECKPOINT")
    end = s.source.value("SELECT redo_lsn FROM pg_control_checkpoint()")
    with held:
        s.source.run(JOURNAL, [2, 3000])
        held.no_stream(2)
        rests(s, migration)
    takes_over(s, migration)
    stands = s.source.value("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = %s", [migration.slot])
    if s.source.value("SELECT %s::pg_lsn < %s::pg_lsn", [stands, end]):
        raise Failed(f"the stream reads from {stands} again, and all before {end} had been read")
    ends(s, migration)


def source_goes_on(s, migration):
    """No checkpoint moves the slot's restart point, so that steps are soon not worth it any more."""
    with Held(s, migration, 3) as held:
        held.no_stream(3, lambda: s.source.run(JOURNAL, [4, 90]))
    takes_over(s, migration)
    ends(s, migration)


BACKLOG = "SELECT pg_current_wal_flush_lsn() - confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s"
CURSOR_IS_PAST = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE temporary"


def reads_all(s, migration):
    """Steps of 8 and 32 MB, and a last one that is small beside the 40 MB that are read again for it."""
    held = Held(s, migration, 6, entries=1)
    while s.source.value(BACKLOG, [migration.slot]) < 45 << 20:
        s.source.run(JOURNAL, [6, 300])
    end = s.source.value("SELECT pg_current_wal_flush_lsn()")
    with held:
        if not s.source.value(CURSOR_IS_PAST, [end]):
            raise Failed("the target is to be behind, and something was left for the stream to read")
    ends(s, migration)


SLOW = """
CREATE TABLE app.pace AS SELECT 1::float8 AS seconds;
CREATE FUNCTION app.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(seconds) FROM app.pace; RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON app.journal EXECUTE FUNCTION app.slow();
"""


def cutover_waits(s, migration):
    """The target takes a second for each statement; writers go on until it has the backlog."""
    migration.more = "cutover: {tries: 1, max_lag: 1GB}"
    migration.write(migration.file)
    s.target.run(SLOW)
    for _ in range(60):
        s.source.run("INSERT INTO public.journal SELECT i, 5, repeat('j', 500) FROM generate_series(1, 1000) i")
    migration.start()
    rests(s, migration)
    cutover = migration.begin("cutover")
    until(lambda: s.target.value("SELECT count(*) FROM pgcrossfade.request"), "the cutover is asked for")
    s.target.run("UPDATE app.pace SET seconds = 0.1")  # it is looked for between two batches
    until(lambda: migration.phase() == "cutover", "the cutover begins", alive=migration.must_run)
    s.target.run("UPDATE app.pace SET seconds = 1")
    rests(s, migration)
    none_for(s, 1.5, LOCKED, "the cutover locked while a backlog was read")
    s.target.run("UPDATE app.pace SET seconds = 0")
    migration.finish(cutover)
    must_equal(migration)


def scenario(s):
    migration = bank.stopped(s, accounts=1000, entries=0)
    reads_all(s, migration)
    read_once(s, migration)
    source_goes_on(s, migration)
    cutover_waits(s, migration)
