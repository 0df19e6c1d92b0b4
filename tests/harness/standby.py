"""Commits that stay between their WAL record and their visibility, as long as a test likes.

A server that waits for a standby named `nobody` writes the commit record and flushes it,
and lets no other session see the transaction until the wait ends.
"""
from .processes import until


def set_names(database, names):
    database.run(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    database.run("SELECT pg_reload_conf()")
    # taken over by the checkpointer, which tells the backends
    until(lambda: database.value("SHOW synchronous_standby_names") == names,
          f"synchronous_standby_names is '{names}'")


def waiting(database, query="%"):
    """The pids of sessions that wait for a standby in such a statement."""
    return [pid for (pid,) in database.rows(
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE %s",
        [query])]
