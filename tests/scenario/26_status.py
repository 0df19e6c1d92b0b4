"""status tells the truth from any host, in words and as JSON, also with no run alive."""
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed

OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, n int);
CREATE TABLE public.b (id int PRIMARY KEY, n int);
INSERT INTO public.a SELECT i, i FROM generate_series(1, 3000) i;
INSERT INTO public.b SELECT i, i FROM generate_series(1, 4000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint);
CREATE TABLE app.b (id bigint PRIMARY KEY, n bigint);
"""

FLOWS = [Flow(f"public.{t}", f"app.{t}", key=("id",),
              select="SELECT id::bigint AS id, n::bigint AS n FROM old") for t in "ab"]

KEYS = {"migration", "phase", "running", "error", "tables", "rows_copied", "changes_applied",
        "transactions_applied", "applied_lsn", "lag_bytes", "lag_seconds", "copy_seconds",
        "write_pause_ms"}


def must_be(status, **wanted):
    wrong = {key: status.get(key) for key, value in wanted.items() if status.get(key) != value}
    if wrong:
        raise Failed(f"status has {wrong}, wanted {wanted}")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    status = migration.status()
    if not KEYS <= set(status):
        raise Failed(f"status lacks {KEYS - set(status)}")
    must_be(status, migration="demo", phase="stream", running=True, error=None, rows_copied=7000,
            changes_applied=0)
    tables = {table["table"]: table for table in status["tables"]}
    if set(tables) != {"public.a", "public.b"} or any(
            t["chunks"] < 1 or t["chunks"] != t["chunks_done"] for t in tables.values()):
        raise Failed(f"tables are {status['tables']}")
    if tables["public.b"]["rows"] != 4000:
        raise Failed(f"public.b has {tables['public.b']}")

    s.source.run("UPDATE public.a SET n = 0 WHERE id <= 10")
    s.source.run("INSERT INTO public.b VALUES (5001, 1); DELETE FROM public.b WHERE id = 1")
    drain(migration)
    must_be(migration.status(), changes_applied=12, running=True)
    if "stream" not in migration.command("status").out:
        raise Failed("status in words does not name the phase")

    migration.terminate()
    must_be(migration.status(), phase="stream", running=False, changes_applied=12)
    migration.start()
    migration.wait_for("lag-zero")
    migration.command("cutover")
    status = migration.status()
    must_be(status, phase="switched")
    if not status["write_pause_ms"] > 0:
        raise Failed(f"write_pause_ms is {status['write_pause_ms']}")
