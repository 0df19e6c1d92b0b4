"""The columns that flows read are another's, or of another type, than when the migration began.

Their values were copied, and the stream tells of the change only with the next change of a row, or
not at all. The run stops within a second, also one that was down meanwhile, a cutover refuses, and
none of them forgets it. Nor does it forget that a table had another name. What no flow reads, and a
varchar's length, may change.
"""
import dataclasses

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed, until

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, n int, m int, name varchar(20), unread int);
INSERT INTO public.item SELECT i, i, 2 * i, 'item ' || i, i FROM generate_series(1, 500) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, n bigint, name text);
CREATE TABLE app.precious (id bigint PRIMARY KEY, n bigint, name text);
INSERT INTO app.precious VALUES (1, 1, 'not ours');
"""

FLOWS = [Flow("public.item", "app.item", key=("id",),
              select="SELECT id::bigint AS id, n::bigint AS n, name::text AS name FROM old")]

CHANGES = (
    "ALTER TABLE public.item ALTER n TYPE bigint USING n + 100",
    "ALTER TABLE public.item DROP n, ADD n int DEFAULT 7",
    "BEGIN; ALTER TABLE public.item RENAME n TO x; ALTER TABLE public.item RENAME m TO n;"
    "ALTER TABLE public.item RENAME x TO m; COMMIT",
)
# the same column, of the same type: see 102
OTHER_VALUES = "ALTER TABLE public.item ALTER n TYPE int USING n + 100"

NAME_AND_BACK = """
BEGIN; ALTER TABLE public.item RENAME TO other; INSERT INTO public.other (id, n) VALUES (1001, 1);
ALTER TABLE public.other RENAME TO item; COMMIT
"""
STOPS = {"pgoutput": "the stream carries table public.other", "wal2json": "was renamed since the migration began"}

HARMLESS = """
ALTER TABLE public.item DROP unread;
ALTER TABLE public.item ALTER name TYPE varchar(40);
ALTER TABLE public.item ADD more text;
"""


def says_so(text, words="given another type since"):
    if "column n of" not in text or words not in text:
        raise Failed(f"it says: {text}")


def fresh(s, migration):
    """Begun anew, on the table as it was at first."""
    running = migration.running
    migration.command("abort")
    if running:
        migration.ended(0)
    s.source.run("DROP TABLE public.item;" + OLD)
    migration.start()
    migration.wait_for("lag-zero")


def noticed(s, migration, change):
    """By a run that is up, without a word in the stream; and by the next, and the one after that."""
    fresh(s, migration)
    s.source.run(change)
    migration.ended(EXIT_USAGE, 10)
    says_so(migration.status()["error"])
    for _ in range(2):
        migration.start()
        migration.ended(EXIT_USAGE)
        says_so(migration.status()["error"])


def noticed_after_rest(s, migration, change):
    """It happened while run was down, and rows were written since."""
    fresh(s, migration)
    migration.terminate()
    s.source.run(change)
    s.source.run("INSERT INTO public.item (id, n) VALUES (1001, 1)")
    migration.start()
    migration.ended(EXIT_USAGE)
    says_so(migration.status()["error"])


def noticed_by_the_cutover(s, migration, change):
    """It waits for the lock when the column changes, so no look of a second ago helps."""
    fresh(s, migration)
    with s.source.connect() as changer, changer.cursor() as cursor:
        cursor.execute("LOCK TABLE public.item")
        cutover = migration.begin("cutover")
        until(lambda: s.source.value("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND"
                                     " relation = 'public.item'::regclass"), "the lock is waited for", 20)
        cursor.execute(change)
        changer.commit()
    changer.close()
    outcome = migration.finish(cutover, None, 60)
    if outcome.code == 0:
        raise Failed(f"switched: {outcome.text}")
    migration.ended(EXIT_USAGE)
    says_so(migration.status()["error"], "was altered since the migration began")


def noticed_by_name(s, migration):
    """wal2json sends a table's rows by name, and those of another name are not asked for."""
    fresh(s, migration)
    s.source.run(NAME_AND_BACK)
    for _ in range(2):
        migration.ended(EXIT_USAGE, 10)
        error = migration.status()["error"]
        if STOPS[s.decoder] not in error:
            raise Failed(f"it says: {error}")
        migration.start()
    migration.ended(EXIT_USAGE)


def new_table_changed(s, migration):
    """The target's own words would name neither side."""
    fresh(s, migration)
    s.target.run("ALTER TABLE app.item DROP n")
    s.source.run("INSERT INTO public.item (id, n) VALUES (1002, 1)")
    migration.ended(EXIT_USAGE)
    error = migration.status()["error"]
    if "apply to the new tables, which have changed" not in error:
        raise Failed(f"it says: {error}")
    s.target.run("ALTER TABLE app.item ADD n bigint")


def harmless(s, migration):
    fresh(s, migration)
    s.source.run(HARMLESS)
    s.source.run("UPDATE public.item SET name = repeat('x', 40) WHERE id < 10")
    drain(migration)
    migration.terminate()
    migration.start()
    migration.wait_for("lag-zero")
    must_equal(migration)


def abort_is_of_what_was_begun(s, migration):
    """With another flow in the file by now: the table that it names is not ours."""
    migration.terminate()
    migration.flows = [dataclasses.replace(FLOWS[0], target="app.precious")]
    migration.write(migration.file)
    migration.start()
    migration.ended(EXIT_USAGE)
    migration.command("abort")
    rows = s.target.value("SELECT (SELECT count(*) FROM app.item) || ' ' || (SELECT count(*) FROM app.precious)")
    if rows != "0 1":
        raise Failed(f"rows of app.item and app.precious: {rows}")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, more="cutover: {lock_timeout: 10s, max_pause: 10s}")
    migration.start()
    migration.wait_for("lag-zero")
    for change in CHANGES if s.decoder == "pgoutput" else CHANGES[:1]:  # the catalog tells, not the stream
        noticed(s, migration, change)
    noticed_after_rest(s, migration, CHANGES[0])
    noticed_by_the_cutover(s, migration, OTHER_VALUES)
    noticed_by_name(s, migration)
    new_table_changed(s, migration)
    harmless(s, migration)
    abort_is_of_what_was_begun(s, migration)
