"""A row that the target refuses stops the run; nothing is skipped and nothing overwritten."""
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


def must_say(text, *wanted):
    for pattern in wanted:
        if not re.search(pattern, text):
            raise Failed(f"the message does not have {pattern!r}:\n{text}")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
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
