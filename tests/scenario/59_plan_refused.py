"""plan of what cannot run: check's findings and exit 3; inside one database; a server that is down.

And of flows of every shape, with rows that will be put aside: what it says is what run does.
"""
import json
import re

from harness.flow import Flow
from harness.migration import EXIT_CHECK, EXIT_UNREACHABLE
from harness.processes import Failed, until

SERVERS = 1
DECODER_MATTERS = False

TABLES = """
CREATE SCHEMA app;
CREATE TABLE public.t (id int PRIMARY KEY, n int);
CREATE TABLE app.t (id bigint CONSTRAINT new_key PRIMARY KEY, n bigint);
INSERT INTO public.t SELECT i, i FROM generate_series(1, 500) i;
"""

GOOD = Flow("public.t", "app.t", key=("id",), select="SELECT id::bigint AS id, n::bigint AS n FROM old")
BAD = Flow("public.t", "app.t", key=("id",), select="SELECT id::bigint AS id, gone AS n FROM old")


SHAPES_OLD = """
CREATE TABLE public.person (id int PRIMARY KEY, age text, city text);
CREATE TABLE public.cat (id int PRIMARY KEY, tags text[]);
CREATE TABLE public.north (id int PRIMARY KEY);
CREATE TABLE public.south (id int PRIMARY KEY);
CREATE TABLE public.event (id int PRIMARY KEY, n text) PARTITION BY RANGE (id);
CREATE TABLE public.event_1 PARTITION OF public.event FOR VALUES FROM (0) TO (1000);
CREATE TABLE public.event_2 PARTITION OF public.event FOR VALUES FROM (1000) TO (9000);
ALTER TABLE public.person REPLICA IDENTITY FULL;
INSERT INTO public.person SELECT i, i, 'c' || i % 30 FROM generate_series(1, 300) i;
INSERT INTO public.cat SELECT i, '{a,b}' FROM generate_series(1, 300) i;
INSERT INTO public.event SELECT i, CASE i % 1000 WHEN 5 THEN 'few' ELSE i::text END
  FROM generate_series(1, 5000) i;
"""

SHAPES_NEW = """
CREATE SCHEMA app;
CREATE TABLE app.city (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.person (id bigint PRIMARY KEY, city_id int REFERENCES app.city);
CREATE INDEX by_city ON app.person (city_id);
CREATE TABLE app.tag (of text, of_id bigint, tag text, PRIMARY KEY (of, of_id, tag));
CREATE TABLE app.place (id bigint PRIMARY KEY);
CREATE TABLE app.event (id bigint PRIMARY KEY, n int);
"""

SHAPES = [
    Flow("public.person", "app.person", key=("id",), select="""
        SELECT o.id::bigint AS id, c.id AS city_id FROM old o LEFT JOIN app.city c ON c.name = o.city
    """),
    Flow("public.person", "app.city", key=("name",),
         select="SELECT DISTINCT city AS name FROM old WHERE city IS NOT NULL"),
    Flow("public.cat", "app.tag", key=("of", "of_id", "tag"), owner=("of", "of_id"), select="""
        SELECT 'cat' AS of, o.id::bigint AS of_id, t AS tag FROM old o, unnest(o.tags) t
    """),
    Flow("public.north", "app.place", key=("id",), select="SELECT id::bigint AS id FROM old"),
    Flow("public.south", "app.place", key=("id",), select="SELECT id::bigint AS id FROM old"),
    # the largest: its chunk is what plan reads, and one row of it is refused
    Flow("public.event", "app.event", key=("id",), select="SELECT id::bigint AS id, n::int AS n FROM old"),
]


def must_have(plan, target, runs, statements, absent):
    flow = next(f for t in plan["tables"] for f in t["flows"] if f["to"] == target)
    missing = [text for name, text in statements.items() if text not in flow["statements"].get(name, "")]
    surplus = [name for name in absent if name in flow["statements"]]
    if flow["select_runs"] != runs or missing or surplus:
        raise Failed(f"{target}: runs at {flow['select_runs']}, lacks {missing}, has {surplus}:\n"
                     + json.dumps(flow, indent=1))


def tried(s, migration, code):
    """What check says of rows that are refused, in whatever partition."""
    report = json.loads(migration.command("check", "--json", "--data-time", "60", expect=code).out)
    said = [f["text"] for f in report["findings"] if "of 5000 rows tried" in f["text"]]
    if len(said) != 1 or "refuses 5 of 5000" not in said[0] or '"few"' not in said[0]:
        raise Failed(f"check says of the bad rows: {said}")


def every_shape(s):
    s.source.run(SHAPES_OLD)
    s.target.run(SHAPES_NEW)
    tried(s, s.migration(SHAPES, name="strict"), EXIT_CHECK)
    migration = s.migration(SHAPES, name="shapes", rejects=10)
    tried(s, migration, 0)
    migration.command("plan")
    plan = json.loads(migration.command("plan", "--json").out)
    must_have(plan, "app.person", "target", {"stage in": "COPY pg_temp", "truncate": "DELETE FROM"},
              ["copy out", "copy in", "copy again"])
    must_have(plan, "app.city", "target", {"stage insert": "ON CONFLICT"},
              ["delete", "leave filter", "update", "truncate"])
    must_have(plan, "app.tag", "source", {"leave filter": "NOT EXISTS", "truncate": "= 'cat'"}, ["stage"])
    must_have(plan, "app.place", "source", {"copy again": "DELETE FROM"}, ["truncate"])
    must_have(plan, "app.event", "source", {"copy out": 'FROM "public"."event"'}, ["stage"])
    migration.start()
    migration.wait_for("lag-zero")
    until(lambda: migration.status()["definitions"]["left"] == 0, "all definitions are back")
    restored = set(re.findall(r" event=definition.restored .*?\bname=(\S+)", migration.log_text()))
    if restored != {d["name"] for d in plan["definitions"]} or "by_city" not in restored:
        raise Failed(f"plan said {plan['definitions']}, run put away {restored}")
    migration.command("abort")


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

    every_shape(s)
    s.source.server.stop()
    good.command("plan", expect=EXIT_UNREACHABLE)
