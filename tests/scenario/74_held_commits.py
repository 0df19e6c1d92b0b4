"""Commits that are in the WAL and not visible yet, around snapshots; and such as nobody flushed.

A commit that waits for a standby is decoded before any snapshot shows it. Whatever is held
when a slot or a generation is made must come by the copy or by the stream, once. Commits
with synchronous_commit = off are visible before they are durable: those just before lag
zero and just before the switch are at the target all the same.
"""
import contextlib

from harness import bank, standby
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed, until
from harness.slow import slow_copy

ROUNDS = (2, 30)  # commits held around generations
ROWS_A_ROUND = 15000  # some 60 chunks: two seconds of a slow copy

SLOT_WAITS = """
SELECT count(*) > 0 FROM pg_stat_activity
 WHERE application_name LIKE 'pgcrossfade%' AND query LIKE 'CREATE_REPLICATION_SLOT%'
   AND state = 'active'
"""


class Held:
    """Transactions whose commit has begun and is not answered: one session each."""

    def __init__(self, s):
        self.s = s
        self.open = []

    def begin(self, number):
        """A key that moves far, an insert, an update, a journal entry: all in one commit."""
        session = standby.Session(self.s.source)
        self.open.append(session)
        session.send(f"""
            BEGIN;
            UPDATE public.account SET id = id + 5000000 WHERE id = {number};
            UPDATE public.account SET note = 'held' WHERE id IN ({5000 + number}, {9000 + number});
            INSERT INTO public.account (id, balance, note) VALUES ({9000000 + number}, 1, 'held');
            INSERT INTO public.journal VALUES ({number}, 1, 'held');
            COMMIT""")
        until(lambda: session.pid in standby.waiting(self.s.source),
              "the commit waits")

    def end(self):
        standby.release_commits(self.s.source)
        for session in self.open:
            session.receive()
        self.open = []


def around_the_slot(s, migration):
    """An open transaction stops the making of the slot; the commits are held meanwhile."""
    held = Held(s)
    writer = s.source.connect(options="-c synchronous_commit=local")
    writer.cursor().execute("INSERT INTO public.journal VALUES (0, 1, 'before the slot')")
    migration.start()
    until(lambda: s.source.value(SLOT_WAITS), "the slot is being made", alive=migration.must_run)
    standby.hold_commits(s.source)
    for number in (1, 2, 3):
        held.begin(number)
    writer.commit()
    writer.close()
    s.source.run("SET synchronous_commit = local;"
                 "INSERT INTO public.journal VALUES (0, 1, 'while the slot is made')")
    held.end()


def around_generations(s, migration):
    """Held before a generation ends, while the next one's snapshot is being made."""
    held, met = Held(s), 0
    migration.until_phase("copy", "stream")
    for number in range(s.rounds):
        if migration.phase() != "copy":
            break
        standby.hold_commits(s.source)
        held.begin(10 + number)
        until(lambda: s.source.value(SLOT_WAITS) or migration.phase() != "copy",
              "the next generation", alive=migration.must_run)
        met += migration.phase() == "copy"
        held.begin(2000 + number)
        held.end()
    print(f"{met} generations met held commits")
    if met < s.rounds // 2:
        raise Failed("the copy was over too soon: the test shows nothing")


ASYNC = """
SET synchronous_commit = off;
INSERT INTO public.journal SELECT {n}, i, 'not flushed' FROM generate_series(1, 50) i;
UPDATE public.account SET balance = {n} WHERE id % 100 = {n};
"""


def unflushed(s, migration):
    """The writes are the last there are, and the server is slow to flush them by itself."""
    s.source.run("ALTER SYSTEM SET wal_writer_delay = '2s'")
    s.source.run("SELECT pg_reload_conf()")
    for n in range(min(s.rounds, 10)):
        s.source.run(ASYNC.format(n=n))
        migration.wait_for("lag-zero")
        must_equal(migration)
    s.source.run(ASYNC.format(n=77))
    migration.command("cutover")
    bank.must_be_switched(s, migration)


def scenario(s):
    bank.create(s, accounts=ROWS_A_ROUND * s.rounds)
    slow_copy(s, "app.account", 0.03)
    migration = s.migration(bank.FLOWS, chunk_bytes="64kB", snapshot_max_age="1s", jobs=1)
    around_the_slot(s, migration)
    around_generations(s, migration)
    migration.wait_for("stream", seconds=60 + 10 * s.rounds)
    drain(migration)
    must_equal(migration)
    migration.wait_for("lag-zero")
    unflushed(s, migration)
