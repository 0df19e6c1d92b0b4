"""Slot and publication taken away or altered, a standby promoted: run stops, and says so.

Each both while run is connected and while it is down.
"""
import os
import shutil
import subprocess

from harness import processes
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed, until
from harness.servers import Server, bindir, define_services

OLD = """
CREATE TABLE public.{name} (id int PRIMARY KEY, n int);
INSERT INTO public.{name} SELECT i, i FROM generate_series(1, 100) i;
"""

NEW = "CREATE SCHEMA {name}; CREATE TABLE {name}.item (id bigint PRIMARY KEY, n bigint)"


def started(s, name, **options):
    s.source.run(OLD.format(name=name))
    s.target.run(NEW.format(name=name))
    flow = Flow(f"public.{name}", f"{name}.item", key=("id",),
                select="SELECT id::bigint AS id, n::bigint AS n FROM old")
    migration = s.migration([flow], name=name.replace("_", "-"), **options)
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run(f"UPDATE public.{name} SET n = n + 1")
    drain(migration)
    return migration


def end_stream(s, migration):
    """The slot's walsender, if there is one."""
    s.source.rows("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
                  " WHERE slot_name = %s AND active", [migration.slot])


def drop_slot(s, migration):
    """run takes its slot back within moments: try until the drop comes first."""
    def dropped():
        end_stream(s, migration)
        try:
            s.source.rows("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                          " WHERE slot_name = %s", [migration.slot])
        except Exception as e:
            if "is active" not in str(e):
                raise
            return False
        return True
    until(dropped, "the slot is dropped", every=0)


def make_slot_again(s, migration):
    s.source.run("SELECT pg_logical_emit_message(true, 'test', 'between')")
    drop_slot(s, migration)
    s.source.rows("SELECT pg_create_logical_replication_slot(%s, %s)",
                  [migration.slot, migration.decoder])


def make_other_slot(s, migration):
    drop_slot(s, migration)
    other = "test_decoding"
    s.source.rows("SELECT pg_create_logical_replication_slot(%s, %s)", [migration.slot, other])


def move_slot_on(s, migration):
    """Somebody consumes the slot: what was in it is lost."""
    s.source.run(f"UPDATE public.{migration.name.replace('-', '_')} SET n = n + 1")
    s.source.rows("SELECT pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())",
                  [migration.slot])


def alter(what):
    return lambda s, migration: s.source.run(
        what.format(publication=migration.publication,
                    table=f"public.{migration.name.replace('-', '_')}"))


PUBLICATION = "changes may be missing in the stream"

# Each is put back, which is enough as long as nobody writes: the next starts from there.
ALTERED = [
    ("SET (publish = 'insert')", PUBLICATION),
    ("SET (publish_via_partition_root = true)", PUBLICATION),
    ("SET TABLE public.filler", "taken out of the publication"),
]
ALTERED_15 = [
    ("SET TABLE {table} WHERE (id > 3)", PUBLICATION),
    ("SET TABLE {table} (id)", PUBLICATION),
]

# Each leaves another slot, or none, where the one before was.
SLOTS = [
    (move_slot_on, "the slot was made again or moved on"),
    (drop_slot, "is gone from the source"),
    (make_slot_again, "the slot was made again or moved on"),
    (make_other_slot, "is of plugin"),
]


def must_say(migration, said):
    migration.ended(EXIT_USAGE)
    error = migration.status()["error"] or ""
    if said not in error or error not in migration.log_text().replace('\\"', '"'):
        raise Failed(f"{migration.name}: wanted '{said}', status has: {error}")
    print(f"{migration.name}: {error}")


def while_connected(s):
    cases = [("dropped", drop_slot, "is gone from the source"),
             ("altered", alter("ALTER PUBLICATION {publication} SET (publish = 'insert')"),
              PUBLICATION),
             ("unpublished", alter("DROP PUBLICATION {publication}"), PUBLICATION)]
    for name, act, said in cases:
        migration = started(s, name)
        act(s, migration)
        must_say(migration, said)
        migration.command("abort")


def while_down(s):
    migration = started(s, "down")
    migration.terminate()
    s.source.run("CREATE TABLE public.filler (id int)")
    new = s.source.value("SELECT current_setting('server_version_num')::int >= 150000")
    for what, said in ALTERED + (ALTERED_15 if new else []):
        alter("ALTER PUBLICATION {publication} " + what)(s, migration)
        migration.start()
        must_say(migration, said)
        alter("ALTER PUBLICATION {publication} SET TABLE ONLY {table};"
              "ALTER PUBLICATION {publication} SET (publish = 'insert, update, delete, truncate',"
              " publish_via_partition_root = false)")(s, migration)
    for act, said in SLOTS:
        act(s, migration)
        migration.start()
        must_say(migration, said)
    migration.command("abort")


def lost_slot(s):
    """The apply waits for a lock, and the server drops the WAL."""
    migration = started(s, "lost")
    locker = s.target.connect()
    locker.cursor().execute("LOCK TABLE lost.item")
    s.source.run("UPDATE public.lost SET n = n + 1")
    s.source.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    s.source.run("SELECT pg_reload_conf()")

    def lost():
        s.source.rows("SELECT pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()")
        s.source.run("CHECKPOINT")
        return s.source.value("SELECT wal_status = 'lost' FROM pg_replication_slots"
                              " WHERE slot_name = %s", [migration.slot])
    until(lost, "the slot is lost")
    s.source.run("ALTER SYSTEM RESET max_slot_wal_keep_size")
    s.source.run("SELECT pg_reload_conf()")
    locker.close()
    for _ in range(2):
        must_say(migration, "has lost WAL that it still needed")
        migration.start()
    migration.ended(EXIT_USAGE)
    migration.command("abort")


def scenario(s):
    while_connected(s)
    while_down(s)
    lost_slot(s)
    promoted(s)


class Standby(Server):
    """A copy of the source that follows it, made by pg_basebackup."""

    def _begin(self):
        os.mkdir(self.directory, 0o755)
        shutil.chown(self.directory, processes.SERVER_USER) if os.geteuid() == 0 else None
        return processes.start(
            [os.path.join(bindir(), "pg_basebackup"), "-h", self.settings.pop("primary"), "-U",
             "postgres", "-D", self.data, "-R", "-c", "fast"], as_server=True, cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def promoted(s):
    """The name of the source's service leads to the promoted standby; with a slot there."""
    source = s.servers[0]
    define_services(s.directory, old=s.source)
    migration = started(s, "promoted")
    migration.terminate()
    with open(migration.file) as f:
        text = f.read()
    with open(migration.file, "w") as f:
        f.write(text.replace(s.source.conninfo, "service=old"))
    migration.start()
    migration.wait_for("lag-zero")
    standby = Standby("standby", s.directory, settings={"primary": source.directory})
    with standby:
        old = standby.database("old", create=False)
        source.stop()
        old.rows("SELECT pg_promote()")
        until(lambda: not old.value("SELECT pg_is_in_recovery()"), "the promotion")
        old.rows("SELECT pg_create_logical_replication_slot(%s, %s)",
                 [migration.slot, migration.decoder])
        define_services(s.directory, old=old)
        must_say(migration, "is on timeline")
    define_services(s.directory, old=s.source)
    source.start()
