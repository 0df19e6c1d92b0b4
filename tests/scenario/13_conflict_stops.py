"""A row that the target refuses stops the run; nothing is skipped and nothing overwritten.

Table, constraint and key are named, the row itself is told nowhere.
"""
import re

from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed

OLD = """
CREATE TABLE public.member (id int PRIMARY KEY, email text);
INSERT INTO public.member SELECT i, 'm' || i || '@example.org' FROM generate_series(1, 1000) i;
"""

# the new schema promises what the old one does not keep
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.member (member_id int PRIMARY KEY, email text UNIQUE);
"""

FLOWS = [Flow("public.member", "app.member", key=("member_id",), select="""
    SELECT id AS member_id, lower(email) AS email FROM old
""")]


PRIVATE = "told-in-confidence"

OLD_PERSON = f"""
CREATE TABLE public.person (id int PRIMARY KEY, age text, note text);
INSERT INTO public.person SELECT i, '30', '{PRIVATE}' FROM generate_series(1, 4000) i;
"""

NEW_PERSON = """
CREATE TABLE app.person (id int PRIMARY KEY, age int, note text NOT NULL, CONSTRAINT young CHECK (age < 150));
"""

PERSON = [Flow("public.person", "app.person", key=("id",), select="""
    SELECT id, age::int AS age, note FROM old
""")]

# what is done to row 3900, what the message says of it, and how it is undone
REFUSED = [
    ("age = '200'", r'relation "person" violates check constraint "young"', "age = '30'"),
    ("note = NULL", r'column "note" of relation "person"', f"note = '{PRIVATE}'"),
    ("age = 'old'", r'invalid input syntax for type integer: "old"', "age = '30'"),
]


def must_say(text, *wanted):
    for pattern in wanted:
        if not re.search(pattern, text):
            raise Failed(f"the message does not have {pattern!r}:\n{text}")


def keeps_rows_private(s, migration, place, refused):
    """Once more with the bad row, now that run has stopped at it."""
    migration.ended(EXIT_CONFLICT)
    status = migration.command("status", "--json").out
    for text in (migration.log_text().splitlines()[-1], status):
        must_say(text, refused.replace('"', r'\W+'), *place)
    for text in (migration.log_text(), status, migration.command("status").out):
        if PRIVATE in text:
            raise Failed(f"a row is told:\n{text}")


def refused_in_copy(s, migration):
    """The copy tells the chunk, which is a range of the key."""
    for change, refused, undo in REFUSED:
        s.source.run(f"UPDATE public.person SET {change} WHERE id = 3900")
        migration.start()
        keeps_rows_private(s, migration, ["app.person", r'rows WHERE \W+id\W+ >= '], refused)
        migration.command("abort")
        s.source.run(f"UPDATE public.person SET {undo} WHERE id = 3900")


def refused_in_stream(s, migration):
    """The stream tells the row's key."""
    migration.start()
    migration.wait_for("lag-zero")
    change, refused, _ = REFUSED[0]
    s.source.run(f"UPDATE public.person SET {change} WHERE id = 3900")
    keeps_rows_private(s, migration, [r"app\.person", r"id=3900\b"], refused)
    s.target.run("ALTER TABLE app.person DROP CONSTRAINT young")
    migration.start()
    drain(migration)
    s.source.run("UPDATE public.person SET note = NULL WHERE id = 3900")
    keeps_rows_private(s, migration, [r"app\.person", r"id=3900\b"], REFUSED[1][1])


def scenario(s):
    s.source.run(OLD_PERSON)
    s.target.run(NEW)
    s.target.run(NEW_PERSON)
    person = s.migration(PERSON, name="person", chunk_bytes="64kB")
    refused_in_copy(s, person)
    refused_in_stream(s, person)
    stops_at_a_conflict(s)


def stops_at_a_conflict(s):
    s.source.run(OLD)
    migration = s.migration(FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run("UPDATE public.member SET email = 'before@example.org' WHERE id = 5")
    s.source.run("UPDATE public.member SET email = 'M7@example.org' WHERE id = 8")
    s.source.run("UPDATE public.member SET email = 'after@example.org' WHERE id = 9")
    migration.ended(EXIT_CONFLICT)

    error = migration.status()["error"] or ""
    for text in (migration.log_text(), error):
        must_say(text, r"app\.member", r"public\.member", r"member_id\W+8\b|\b8\b",
                 r"[0-9A-F]+/[0-9A-F]+", r"lower\(email\)", r"INSERT INTO|UPDATE")
    kept = dict(s.target.rows("SELECT member_id, email FROM app.member WHERE member_id IN (7,8,9)"))
    if kept != {7: "m7@example.org", 8: "m8@example.org", 9: "m9@example.org"}:
        raise Failed(f"something was applied past the conflict: {kept}")

    # again with the same data: the same stop, and not a way around it
    migration.start()
    migration.ended(EXIT_CONFLICT)

    s.target.run("ALTER TABLE app.member DROP CONSTRAINT member_email_key")
    migration.start()
    drain(migration)
    must_equal(migration)
    if migration.status()["error"]:
        raise Failed("status still shows the error that is gone")
