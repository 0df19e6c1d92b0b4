"""Waiting until everything committed at the source so far is durable at the target."""
from .processes import until


def drain(migration, seconds=60):
    """Returns once the stream is past everything committed before the call.

    The slot's confirmed position is what the sink made durable, and it moves past
    a transaction only when that is at the target: that is what is waited for, not
    the program's own word.
    """
    source = migration.source
    end = source.value("SELECT pg_current_wal_insert_lsn()")
    # something to send after it, so that the position has a reason to move
    source.rows("SELECT pg_logical_emit_message(true, 'test', 'drain')")
    until(lambda: source.value(
        "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s",
        [end, migration.slot]), f"drain to {end}", seconds, alive=migration.must_run)


def until_received(migration, seconds=60):
    """Returns once run has all that is committed at the source, applied or not."""
    source = migration.source
    end = source.value("SELECT pg_current_wal_insert_lsn()")
    until(lambda: source.rows("SELECT FROM pg_stat_replication WHERE write_lsn >= %s::pg_lsn", [end]),
          f"the stream has been received to {end}", seconds, alive=migration.must_run)
