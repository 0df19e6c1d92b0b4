"""plan of what cannot run: check's findings and exit 3; inside one database; a server that is down."""
import json

from harness.flow import Flow
from harness.migration import EXIT_CHECK, EXIT_UNREACHABLE
from harness.processes import Failed

SERVERS = 1
DECODER_MATTERS = False

TABLES = """
CREATE SCHEMA app;
CREATE TABLE public.t (id int PRIMARY KEY, n int);
CREATE TABLE app.t (id bigint PRIMARY KEY, n bigint);
INSERT INTO public.t SELECT i, i FROM generate_series(1, 500) i;
"""

GOOD = Flow("public.t", "app.t", key=("id",), select="SELECT id::bigint AS id, n::bigint AS n FROM old")
BAD = Flow("public.t", "app.t", key=("id",), select="SELECT id::bigint AS id, gone AS n FROM old")


def scenario(s):
    s.source.run(TABLES)
    bad = s.migration([BAD], target=s.source, name="bad")
    outcome = bad.command("plan", expect=EXIT_CHECK)
    if "fail  " not in outcome.out or "gone" not in outcome.out:
        raise Failed(f"plan does not print the finding:\n{outcome.text}")
    found = json.loads(bad.command("plan", "--json", expect=EXIT_CHECK).out)
    if not found["failures"]:
        raise Failed(f"plan --json has no finding: {found}")

    good = s.migration([GOOD], target=s.source, name="good",
                       more="switch:\n  rename:\n    - { table: public.t, to: app.t_old }")
    plan = json.loads(good.command("plan", "--json").out)
    flow, = plan["tables"][0]["flows"]
    if flow["select_runs"] != "inside" or not flow["statements"]["copy"].startswith("INSERT INTO"):
        raise Failed(f"in one database the flow is {flow}")
    renames = [step for step in plan["steps"] if "ACCESS EXCLUSIVE on each renamed" in (step["lock"] or "")]
    if len(renames) != 1 or 'SET SCHEMA "app"' not in " ".join(renames[0]["sql"]):
        raise Failed(f"renames are {renames}")
    if good.traces() or s.source.value("SELECT count(*) FROM app.t"):
        raise Failed(f"plan left {good.traces()}")

    s.source.server.stop()
    good.command("plan", expect=EXIT_UNREACHABLE)
