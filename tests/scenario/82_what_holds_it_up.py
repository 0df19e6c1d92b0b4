"""status says what a run is busy with and what holds it up: an index, the target, the source.

Each is held by the test for as long as it looks, so that nothing depends on how fast anything is.
"""
import contextlib
import os
import signal

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed
from harness.processes import until as wait_until

DECODER_MATTERS = False

ROWS = 20000
COPY_LOCK, BUILD_LOCK = 68, 69  # advisory locks of the target, and of the test while it looks

OLD = f"""
CREATE TABLE public.a (id int PRIMARY KEY, n int, note text);
INSERT INTO public.a SELECT i, i, repeat('x', 200) FROM generate_series(1, {ROWS}) i;
"""

# a row's INSERT, and the index's entry for another row, wait for a lock
NEW = f"""
CREATE SCHEMA app;
CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint, note text);
CREATE FUNCTION app.gate() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_xact_lock_shared({COPY_LOCK}); RETURN NEW; END $$;
CREATE TRIGGER gate BEFORE INSERT ON app.a FOR EACH ROW WHEN (NEW.id = 1000) EXECUTE FUNCTION app.gate();
CREATE FUNCTION app.held(n bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF n = {ROWS // 2} THEN PERFORM pg_advisory_xact_lock_shared({BUILD_LOCK}); END IF; RETURN n; END $$;
CREATE INDEX by_held ON app.a (app.held(n));
CREATE FUNCTION app.slow() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON app.a FOR EACH ROW WHEN (NEW.id % 500 = 0) EXECUTE FUNCTION app.slow();
"""

FLOW = Flow("public.a", "app.a", key=("id",),
            select="SELECT id::bigint AS id, n::bigint AS n, note FROM old")


def until(condition, what, migration, seconds=60):
    """Each look is a program that starts and connects: not too many."""
    return wait_until(condition, what, seconds, every=0.2, alive=migration.must_run)


@contextlib.contextmanager
def held(s, lock):
    holder = s.target.connect(autocommit=True)
    try:
        holder.cursor().execute("SELECT pg_advisory_lock(%s)", [lock])
        yield holder.info.backend_pid
    finally:
        holder.close()


def held_up_by(migration, what, phase, load=lambda status: None):
    """load is given each status that does not say so yet."""
    def seen():
        status = migration.status()
        if status["bottleneck"] == what:
            return status
        load(status)
        return None
    status = until(seen, f"held up by {what}", migration)
    if status["phase"] != phase:
        raise Failed(f"held up by {what} in phase {status['phase']}")


def says(migration, *words):
    said = migration.command("status").out
    if missing := [word for word in words if word not in said]:
        raise Failed(f"status does not say {missing}:\n{said}")


def copy_by_target(migration, holder):
    """A row waits at the target, and the source's COPY waits for us to take more."""
    held_up_by(migration, "apply", "copy")
    says(migration, "held up    by apply", f"held by pid {holder}")


def index_build(s, migration, holder):
    """The share of the index that is built is the server's own figure."""
    status = until(lambda: (status := migration.status())["definitions"]["building"]
                   and status["target"]["waiting_for"] and status["activity"] == "building indexes"
                   and status, "an index is built", migration)
    build, = status["definitions"]["building"]
    phase, done, total = s.target.row(
        "SELECT phase, blocks_done, blocks_total FROM pg_stat_progress_create_index")
    if build["phase"] != phase or not 0 < done < total or abs(build["share"] - done / total) > 1e-6:
        raise Failed(f"status has {build}, the server {phase}, {done} of {total}")
    if build["table"] != "app.a" or "by_held" not in build["statement"]:
        raise Failed(f"status has {build}")
    left = status["definitions"]["left"]
    if status["definitions"]["saved"] != 2 or left not in (1, 2):  # the key may be back
        raise Failed(f"status has {status['definitions']}")
    says(migration, f"indexes    {2 - left} of 2 definitions are back", "by_held",
         f"{phase}, {done / total * 100:.0f} %", "building indexes", f"held by pid {holder}")


def stream_by_target(s, migration):
    """A trigger takes its time for some rows, and more of them come than it lets through."""
    def more(status):
        if status["phase"] == "stream" and (status["lag_bytes"] or 0) < 8 << 20:
            s.source.run("UPDATE public.a SET n = n + 1 WHERE id <= 5000")
    held_up_by(migration, "apply", "stream", more)
    says(migration, "held up    by apply")
    s.target.run("CREATE OR REPLACE FUNCTION app.slow() RETURNS trigger LANGUAGE plpgsql AS"
                 " $$ BEGIN RETURN NEW; END $$")
    drain(migration, seconds=120)


def stream_by_source(s, migration):
    """The WAL sender does nothing, and there is WAL to send."""
    sender = s.source.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s",
                            [migration.slot])
    os.kill(sender, signal.SIGSTOP)
    try:
        s.source.run("UPDATE public.a SET note = repeat('y', 200)")
        held_up_by(migration, "source", "stream")
        says(migration, "held up    by source")
    finally:
        os.kill(sender, signal.SIGCONT)
    drain(migration, seconds=120)


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration([FLOW], chunk_bytes="16MB")
    with held(s, BUILD_LOCK) as build_holder:
        with held(s, COPY_LOCK) as copy_holder:
            migration.start()
            wait_until(lambda: migration.phase() == "copy", "phase copy", 30, alive=migration.must_run)
            copy_by_target(migration, copy_holder)
        index_build(s, migration, build_holder)
    stream_by_target(s, migration)
    stream_by_source(s, migration)
    must_equal(migration)
    until(lambda: not migration.status()["bottleneck"], "nothing holds it up", migration)
