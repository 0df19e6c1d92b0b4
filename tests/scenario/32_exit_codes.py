"""What each command's exit code says, for scripts."""
import re

from harness.flow import Flow
from harness.migration import EXIT_CHECK, EXIT_UNREACHABLE, EXIT_USAGE
from harness.processes import Failed

DECODER_MATTERS = False

OLD = "CREATE TABLE public.a (id int PRIMARY KEY, n int)"
NEW = "CREATE SCHEMA app; CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint)"
SELECT = "SELECT id::bigint AS id, n::bigint AS n FROM old"
FLOWS = [Flow("public.a", "app.a", key=("id",), select=SELECT)]
WRONG = [Flow("public.a", "app.a", key=("id",), select=SELECT.replace("n::bigint", "m"))]


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    migration.check()
    migration.command("wait", "--for", "lag-zero", "--timeout", "1", expect=EXIT_UNREACHABLE)
    migration.command("wait", "--for", "never-heard-of", expect=EXIT_USAGE)
    migration.command("explode", expect=EXIT_USAGE)
    migration.command("check", "--fast", expect=EXIT_USAGE)
    if migration.traces():
        raise Failed(f"commands that only look left {migration.traces()}")

    s.migration(WRONG, name="wrong").check(expect=EXIT_CHECK)
    nowhere = s.migration(FLOWS, name="nowhere")
    with open(nowhere.file, "w") as f:
        f.write(re.sub(r"(?m)^source:.*", "source: host=/nowhere dbname=old", migration.yaml()))
    nowhere.check(expect=EXIT_UNREACHABLE)
    nowhere.file = "/nowhere.yaml"
    nowhere.check(expect=EXIT_USAGE)
