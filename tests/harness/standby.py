"""Commits that stay between their WAL record and their visibility, as long as a test likes.

A server that waits for a standby named `nobody` writes the commit record and flushes it,
and lets no other session see the transaction until the wait ends.
"""
import psycopg2
from psycopg2.extras import wait_select

from .processes import until


def hold_commits(database):
    """From here on commits wait, but those with synchronous_commit = local."""
    set_names(database, "nobody")
    until(lambda: _held(database), "commits wait")


def release_commits(database):
    set_names(database, "")
    until(lambda: not waiting(database), "no commit waits")


def waiting(database, query="%"):
    """The pids of sessions that wait for a standby in such a statement."""
    return [pid for (pid,) in database.rows(
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE %s",
        [query])]


def set_names(database, names):
    database.run(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    database.run("SELECT pg_reload_conf()")


class Session:
    """Its statements are sent and received apart."""

    def __init__(self, database):
        self.connection = psycopg2.connect(database.conninfo, async_=True)
        wait_select(self.connection)
        self.pid = self.connection.info.backend_pid
        self.cursor = self.connection.cursor()

    def send(self, sql):
        self.cursor.execute(sql)

    def receive(self):
        wait_select(self.connection)
        self.connection.close()


def _held(database):
    """The server's checkpointer takes the setting over when it gets to it: try it out."""
    probe = Session(database)
    probe.send("SELECT pg_logical_emit_message(true, 'test', 'probe')")
    idle = "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = %s"
    until(lambda: probe.pid in waiting(database) or database.value(idle, [probe.pid]),
          "the probe")
    held = probe.pid in waiting(database)
    database.run("SELECT pg_terminate_backend(%s)", [probe.pid])
    probe.connection.close()
    return held
