"""A server that comes back in an earlier state: run stops, and leaves nothing out without a word.

The data directory is copied while the server is down, the server goes on for a while, and the copy
is put in its place. The target: its slot has forgotten what it does not have any more. The source:
its WAL ends before what the target has; or has by then grown past that, with another history.
"""
import os
import shutil
import subprocess

from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed, until

OLD = """
CREATE TABLE public.{name} (id int PRIMARY KEY, n int);
INSERT INTO public.{name} SELECT i, i FROM generate_series(1, 500) i;
"""

NEW = "CREATE SCHEMA {name}; CREATE TABLE {name}.item (id bigint PRIMARY KEY, n bigint)"


def flow(name):
    return Flow(f"public.{name}", f"{name}.item", key=("id",), select="""
        SELECT id::bigint AS id, n::bigint AS n FROM old
    """)


def started(s, name):
    s.source.run(OLD.format(name=name))
    s.target.run(NEW.format(name=name))
    migration = s.migration([flow(name)], name=name.replace("_", "-"))
    migration.start()
    migration.wait_for("lag-zero")
    change(s, name, 1)
    drain(migration)
    return migration


def change(s, name, id):
    s.source.run(f"UPDATE public.{name} SET n = n + 1000 WHERE id = {id}")


def saved(server):
    """The server's files as they are while it is stopped."""
    server.stop()
    subprocess.run(["cp", "-a", server.data, server.data + ".saved"], check=True)
    server.start()


def put_back(server):
    server.stop("immediate")
    shutil.rmtree(server.data)
    os.rename(server.data + ".saved", server.data)
    server.start()


def must_stop(migration, said):
    """With the message in the log and in status; and so does every run after it."""
    for _ in range(2):
        migration.ended(EXIT_USAGE)
        error = migration.status()["error"] or ""
        if said not in error or said not in migration.log_text():
            raise Failed(f"wanted '{said}', status has: {error}")
        migration.start()
    migration.ended(EXIT_USAGE)
    print(f"{migration.name}: {error}")
    migration.command("abort")


def applied(s, name, id):
    """An update of that row is at the target."""
    return s.target.value(f"SELECT n > 1000 FROM {name}.item WHERE id = {id}")


def target_set_back(s, down):
    """down: run is, meanwhile; else it loses its connection and comes back by itself."""
    name = "target_down" if down else "target_up"
    migration = started(s, name)
    target = s.servers[-1]
    saved(target)
    change(s, name, 2)
    until(lambda: applied(s, name, 2), "the change", alive=migration.must_run)
    drain(migration)
    if down:
        migration.terminate()
    put_back(target)
    if down:
        migration.start()
    must_stop(migration, "the target was restored to an earlier state")


def target_without_changes(s):
    """Nothing was applied since: what the source passed over without a change for us is no loss,
    but nobody can know, and it stops as well."""
    migration = started(s, "passed_over")
    target = s.servers[-1]
    saved(target)
    s.source.run("CREATE TABLE public.other (id int); INSERT INTO public.other VALUES (1)")
    drain(migration)
    put_back(target)
    must_stop(migration, "the target was restored to an earlier state")


def source_set_back(s, down):
    name = "source_down" if down else "source_up"
    migration = started(s, name)
    source = s.servers[0]
    saved(source)
    for id in range(2, 40):
        change(s, name, id)
    drain(migration)
    if down:
        migration.terminate()
    put_back(source)
    if down:
        migration.start()
    must_stop(migration, "the source was restored to an earlier state")


def source_went_on(s):
    """Its WAL is past our position again when run looks: only the history tells."""
    migration = started(s, "went_on")
    source = s.servers[0]
    saved(source)
    change(s, "went_on", 2)
    drain(migration)
    migration.terminate()
    end = s.source.value("SELECT pg_current_wal_flush_lsn()")
    put_back(source)
    while s.source.value("SELECT pg_current_wal_flush_lsn() <= %s::pg_lsn", [end]):
        s.source.run("UPDATE public.went_on SET n = 5 WHERE id = 5")
    change(s, "went_on", 6)
    migration.start()
    must_stop(migration, "restored to an earlier state and went on from there")
    if applied(s, "went_on", 6):
        raise Failed("a change of another history was applied")


def scenario(s):
    target_set_back(s, down=False)
    target_set_back(s, down=True)
    target_without_changes(s)
    source_set_back(s, down=False)
    source_set_back(s, down=True)
    source_went_on(s)
