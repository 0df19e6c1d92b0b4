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
            s.source.rows("SELECT pg_drop_replication_slot(%s)", [migration.slot])
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
    other = "wal2json" if migration.decoder == "pgoutput" else "pgoutput"
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

# what, message, while run is down only
CASES = {
    "dropped": (drop_slot, "is gone from the source", False),
    "made_again": (make_slot_again, "the slot was made again", True),
    "other_plugin": (make_other_slot, "is of plugin", True),
    "moved_on": (move_slot_on, "moved on", True),
    "no_publication": (alter("DROP PUBLICATION {publication}"), PUBLICATION, False),
    "inserts_only": (alter("ALTER PUBLICATION {publication} SET (publish = 'insert')"),
                     PUBLICATION, False),
    "by_root": (alter("ALTER PUBLICATION {publication} SET (publish_via_partition_root = true)"),
                PUBLICATION, True),
    "table_out": (alter("CREATE TABLE public.filler_{publication} (id int);"
                        "ALTER PUBLICATION {publication} SET TABLE public.filler_{publication}"),
                  "taken out of the publication", True),
    "row_filter": (alter("ALTER PUBLICATION {publication} SET TABLE {table} WHERE (id > 3)"),
                   PUBLICATION, True),
    "column_list": (alter("ALTER PUBLICATION {publication} SET TABLE {table} (id)"),
                    PUBLICATION, True),
}


def must_stop(migration, said):
    migration.ended(EXIT_USAGE)
    error = migration.status()["error"] or ""
    if said not in error or said not in migration.log_text():
        raise Failed(f"{migration.name}: wanted '{said}', status has: {error}")
    print(f"{migration.name}: {error}")
    migration.command("abort")


def one_after_the_other(s):
    for name, (act, said, only_down) in CASES.items():
        if "row_filter" in name or "column_list" in name:
            if s.source.value("SELECT current_setting('server_version_num')::int < 150000"):
                continue
        migration = started(s, name)
        if not only_down:
            act(s, migration)
            must_stop(migration, said)
            continue
        migration.terminate()
        act(s, migration)
        migration.start()
        must_stop(migration, said)


def lost_slot(s, down):
    migration = started(s, f"lost_{'down' if down else 'up'}")
    if down:
        migration.terminate()
    else:
        os.kill(migration.process.pid, 19)  # SIGSTOP: connected, and it reads nothing
    s.source.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    s.source.run("SELECT pg_reload_conf()")

    def lost():
        s.source.run("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))")
        s.source.rows("SELECT pg_switch_wal()")
        s.source.run("CHECKPOINT")
        return s.source.value("SELECT wal_status = 'lost' FROM pg_replication_slots"
                              " WHERE slot_name = %s", [migration.slot])
    until(lost, "the slot is lost")
    s.source.run("ALTER SYSTEM RESET max_slot_wal_keep_size")
    s.source.run("SELECT pg_reload_conf()")
    if down:
        migration.start()
    else:
        os.kill(migration.process.pid, 18)
    must_stop(migration, "has lost WAL that it still needed")


def scenario(s):
    one_after_the_other(s)
    lost_slot(s, down=False)
    lost_slot(s, down=True)
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
        define_services(s.directory, old=old)
        until(lambda: "waiting for its promotion" in migration.log_text(), "run finds the standby",
              alive=migration.must_run)
        old.run("SELECT pg_promote()")
        until(lambda: not old.value("SELECT pg_is_in_recovery()"), "the promotion")
        old.rows("SELECT pg_create_logical_replication_slot(%s, %s)",
                 [migration.slot, migration.decoder])
        must_stop(migration, "is on timeline")
    define_services(s.directory, old=s.source)
    source.start()
