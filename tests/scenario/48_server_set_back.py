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
from harness.processes import Failed

DECODER_MATTERS = False

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


def set_back(s, server, names, said):
    """Runs that are up lose their connection and come back by themselves; *_down comes up later.

    passed_over has nothing to apply meanwhile. What the source went past for it may have been
    nothing, but nobody can know.
    """
    migrations = {name: started(s, name) for name in names}
    saved(server)
    for id in range(2, 10):
        for name in names:
            if name != "passed_over":
                change(s, name, id)
    for name, migration in migrations.items():
        drain(migration)
        if name.endswith("down"):
            migration.terminate()
    put_back(server)
    for name, migration in migrations.items():
        if name.endswith("down"):
            migration.start()
    for migration in migrations.values():
        must_stop(migration, said)


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
    migration.ended(EXIT_USAGE)
    if s.target.value("SELECT n > 1000 FROM went_on.item WHERE id = 6"):
        raise Failed("a change of another history was applied")
    migration.start()
    must_stop(migration, "restored to an earlier state and went on from there")


def scenario(s):
    source, target = s.servers
    set_back(s, target, ("target_up", "target_down", "passed_over"),
             "the target was restored to an earlier state")
    set_back(s, source, ("source_up", "source_down"),
             "the source was restored to an earlier state")
    source_went_on(s)
