"""The connection that makes a run the only one is lost while the ledger cannot be written.

What run tells the ledger is done beside the stream and waits here, for a lock on the row. The run
has to notice all the same that the lock on the migration is gone, and ends beside-work that waits.
"""
from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed, until

LOCK_HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
WAITS = """
SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgcrossfade%%'
   AND wait_event_type = 'Lock' AND query LIKE '%%pgcrossfade.service%%'
"""


def hold_the_ledger(s, migration):
    holder = s.target.connect()
    holder.cursor().execute("SELECT FROM pgcrossfade.service FOR UPDATE")
    until(lambda: s.target.value(WAITS) == 1, "the sign of life waits", alive=migration.must_run)
    return holder


def lock_is_lost(s, migration):
    holder = hold_the_ledger(s, migration)
    (pid,), = s.target.rows(LOCK_HOLDER)
    s.source.run("INSERT INTO public.journal VALUES (7, 7, 'goes on beside it')")
    until(lambda: s.target.value("SELECT count(*) FROM app.journal WHERE note = 'goes on beside it'") == 1,
          "the stream goes on", alive=migration.must_run)
    s.target.run("SELECT pg_terminate_backend(%s)", [pid])
    until(lambda: "event=retry" in migration.log_text(), "the run notices", 5, alive=migration.must_run)
    holder.close()
    drain(migration)
    if [(pid,)] == s.target.rows(LOCK_HOLDER) or not s.target.rows(LOCK_HOLDER):
        raise Failed(f"the lock is held by {s.target.rows(LOCK_HOLDER)}")


def ends_at_once(s, migration):
    holder = hold_the_ledger(s, migration)
    migration.terminate(seconds=5)
    holder.close()


def scenario(s):
    migration = bank.streaming(s, accounts=1000, entries=10)
    lock_is_lost(s, migration)
    ends_at_once(s, migration)
    migration.start()
    drain(migration)
    must_equal(migration)
