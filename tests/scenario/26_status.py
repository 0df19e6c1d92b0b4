"""status tells the truth from any host, in words and as JSON, also with no run alive.

A ledger of another version is not taken for one of ours: run brings an older one up to date.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_UNREACHABLE, EXIT_USAGE
from harness.processes import Failed

DECODER_MATTERS = False

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
CREATE PUBLICATION everything FOR ALL TABLES; -- the ledger's, too
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


SHAPE = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
 WHERE table_schema = 'pgcrossfade' ORDER BY 1, 2
"""

# what versions 2 to 6 brought
VERSION_1 = """
ALTER TABLE pgcrossfade.migration DROP columns, DROP stamps, DROP targets;
ALTER TABLE pgcrossfade.service DROP error, DROP error_since, DROP tries, DROP next_try;
ALTER TABLE pgcrossfade.definition DROP made;
ALTER TABLE pgcrossfade.reread DROP id;
UPDATE pgcrossfade.ledger SET version = 1;
"""

# what some ledgers lack that say they are version 1
EARLY = """
ALTER TABLE pgcrossfade.service DROP confirmed, DROP started_at;
ALTER TABLE pgcrossfade.migration DROP definitions;
DROP TABLE pgcrossfade.reject, pgcrossfade.partition;
"""

COMMANDS = [["status"], ["check"], ["plan"], ["cutover"], ["retry"], ["abort"], ["complete"]]
WAIT = ["wait", "--for", "switched", "--timeout", "0.1"]


def refused(s, migration, commands, words):
    """Says why, and leaves the ledger as it is."""
    before = s.target.rows(SHAPE)
    for command in commands:
        said = migration.command(*command, expect=EXIT_USAGE).err
        if not all(word in said for word in words):
            raise Failed(f"{command} says {said}")
    if s.target.rows(SHAPE) != before:
        raise Failed("the ledger was changed")


def versions(s, migration):
    """The run is down. A newer ledger is left alone; an older one is brought up to date by run."""
    shape = s.target.rows(SHAPE)
    s.target.run("UPDATE pgcrossfade.ledger SET version = version + 1")
    refused(s, migration, [*COMMANDS, WAIT, ["run"]], ["has version 7", "up to version 6", "made it, or a later"])
    for change in (VERSION_1, VERSION_1 + EARLY):
        s.target.run(change)
        refused(s, migration, [["status"], ["abort"]], ["has version 1", "start run"])
        migration.command(*WAIT, expect=EXIT_UNREACHABLE)  # for a run that brings it up to date
        migration.start()
        migration.wait_for("lag-zero")
        if s.target.rows(SHAPE) != shape:
            raise Failed(f"after {change} the ledger is {s.target.rows(SHAPE)}, not {shape}")
        must_be(migration.status(), phase="stream", running=True, changes_applied=12)
        must_equal(migration)
        migration.terminate()
    s.target.run(VERSION_1 + "ALTER TABLE pgcrossfade.migration DROP source_timeline")
    migration.start()
    migration.ended(EXIT_USAGE)
    if "was made by an early pgcrossfade" not in migration.log_text():
        raise Failed("run does not know an early ledger")
    s.target.run("ALTER TABLE pgcrossfade.migration ADD source_timeline int NOT NULL DEFAULT 1")


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
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
    versions(s, migration)
    migration.start()
    migration.wait_for("lag-zero")
    migration.command("cutover")
    status = migration.status()
    must_be(status, phase="switched")
    if not status["write_pause_ms"] > 0:
        raise Failed(f"write_pause_ms is {status['write_pause_ms']}")
