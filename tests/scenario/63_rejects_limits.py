"""What is put aside and what is not: N and one more, large transactions, one snapshot, the slot.

A bad row in the middle of a transaction that comes in parts, also when the source cannot be reached meanwhile;
unique values that clash; a column that is gone is no fault of a row; the row's values are in no log.
"""
import os

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed, until
from harness.rejects import count, must_account, rejects, stored_rows_are_present
from harness.servers import SOCKET_NAME

OLD = """
CREATE TABLE public.reading (id int PRIMARY KEY, value text, tag text, note text);
INSERT INTO public.reading SELECT i, i::text, 'tag ' || i, 'private' FROM generate_series(1, 3000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.reading (id bigint PRIMARY KEY, value int, tag text UNIQUE, note text);
"""

FLOWS = [Flow("public.reading", "app.reading", key=("id",), select="""
    SELECT id::bigint AS id, value::int AS value, tag, note FROM old
""")]

COLUMNS = ("id", "value", "tag", "note")

# 16 MB of budget, a sixteenth for a part: this comes in many
LARGE = """
INSERT INTO public.reading
SELECT i, CASE WHEN i % 4001 = 0 THEN 'bad' ELSE i::text END, 'tag ' || i, repeat('private ', 20)
FROM generate_series(10001, 40000) i"""


def accounted(migration):
    drain(migration)
    stored_rows_are_present(migration, "public.reading", "app.reading", "id", COLUMNS)
    must_account(migration, "id", "id")


def large_transaction(s, migration):
    with s.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute(LARGE)
        cursor.execute("UPDATE public.reading SET value = 'worse' WHERE id BETWEEN 20001 AND 20003")
        cursor.execute("UPDATE public.reading SET id = id + 100000 WHERE id = 20002")
        cursor.execute("UPDATE public.reading SET value = '1' WHERE id IN (12003, 20003)")
        cursor.execute("DELETE FROM public.reading WHERE id = 16004")
        connection.commit()
    connection.close()
    accounted(migration)
    left = sorted(int(key["id"]) for _, key, _, _, _ in rejects(migration))
    if left != [20001, 20005, 24006, 28007, 32008, 36009, 120002]:
        raise Failed(f"rejects of the large transaction: {left}")


def source_gone(s, migration):
    """The transaction is wanted of the stream again, and there is none: run waits between its tries."""
    socket = os.path.join(s.source.server.directory, SOCKET_NAME)
    with s.target.connect() as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE app.reading IN SHARE MODE")
        s.source.run("INSERT INTO public.reading SELECT i, CASE i WHEN 59999 THEN 'bad' ELSE '1' END, 'tag ' || i,"
                     " repeat('private ', 20) FROM generate_series(50001, 60000) i")
        end = s.source.value("SELECT pg_current_wal_flush_lsn()")
        until(lambda: s.target.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), "a part waits",
              alive=migration.must_run)
        until(lambda: s.source.value("SELECT bool_or(sent_lsn >= %s) FROM pg_stat_replication", [end]),
              "all of it is sent", alive=migration.must_run)
        before = migration.log_text()
        os.rename(socket, socket + ".away")
    holder.close()
    said = lambda: migration.log_text()[len(before):]
    until(lambda: "event=retry" in said(), "run waits before it tries again", alive=migration.must_run)
    if said().count("event=stream.again") > 1:
        raise Failed("it was tried again at once")
    os.rename(socket + ".away", socket)
    accounted(migration)
    s.source.run("DELETE FROM public.reading WHERE id > 50000 AND id <= 60000")
    accounted(migration)


def clash(s, migration):
    """Two rows of one unique value: the later one is put aside until the first lets it go."""
    s.source.run("UPDATE public.reading SET tag = 'tag 5' WHERE id = 6")
    accounted(migration)
    if rejects(migration)[-1][1] != {"id": "6"} or rejects(migration)[-1][3] is None:
        raise Failed(f"the clash is not put aside with its older version: {rejects(migration)[-1]}")
    s.source.run("UPDATE public.reading SET tag = 'free' WHERE id = 5")
    drain(migration)
    before = count(migration)
    migration.command("retry", expect=1)
    if count(migration) != before - 1:
        raise Failed("a clash that is over did not go in")
    accounted(migration)


def one_more(s, migration):
    """Row N + 1 stops the run, and what came with it is not applied."""
    room = 12 - count(migration)
    for i in range(room):
        s.source.run("UPDATE public.reading SET value = 'no' WHERE id = %s", [2000 + i])
    accounted(migration)
    s.source.run("BEGIN; UPDATE public.reading SET note = 'with it' WHERE id = 1;"
                 "UPDATE public.reading SET value = 'no' WHERE id = 2500; COMMIT")
    migration.ended(EXIT_CONFLICT)
    error = migration.status()["error"] or ""
    for text in ("12 rows are put aside", "public.reading", "id=2500", "app.reading"):
        if text not in error:
            raise Failed(f"the error does not say {text!r}: {error}")
    if s.target.value("SELECT note FROM app.reading WHERE id = 1") == "with it":
        raise Failed("something was applied past the last reject")
    if count(migration) != 12:
        raise Failed(f"{count(migration)} rejects")


def not_of_the_row(s, migration):
    """A column that is gone, a lock that is held: no row is put aside for it."""
    before = count(migration)
    s.target.run("ALTER TABLE app.reading RENAME note TO remark")
    s.source.run("UPDATE public.reading SET note = 'where to?' WHERE id = 2")
    migration.ended(None)
    if count(migration) != before:
        raise Failed("a missing column was taken for a bad row")
    s.target.run("ALTER TABLE app.reading RENAME remark TO note")
    migration.start()
    accounted(migration)


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS, rejects=12, memory="16MB")
    large_transaction(s, migration)
    source_gone(s, migration)
    clash(s, migration)
    one_more(s, migration)
    migration.change(rejects=20)  # between two runs it may
    migration.start()
    accounted(migration)
    not_of_the_row(s, migration)
    if "private" in migration.log_text():
        raise Failed("the log has values of rows")
    s.source.run("UPDATE public.reading SET value = '0' WHERE value IN ('no', 'bad', 'worse')")
    drain(migration)
    if count(migration):
        raise Failed(f"{count(migration)} rejects are left")
    must_equal(migration)
