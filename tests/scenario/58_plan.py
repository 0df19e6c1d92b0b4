"""plan says what run and cutover then do: chunks, definitions, statements, sequences; and makes nothing."""
import json
import re

from harness.flow import Flow
from harness.processes import Failed, until

OLD = """
CREATE TABLE public.customer (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.orders (id int PRIMARY KEY, customer int NOT NULL, what text);
CREATE TABLE public.audit (at timestamptz, what text);
INSERT INTO public.customer (name) SELECT 'Name ' || i FROM generate_series(1, 9000) i;
INSERT INTO public.orders SELECT i, 1 + i % 9000, repeat('x', 90) FROM generate_series(1, 12000) i;
INSERT INTO public.audit SELECT now(), repeat('y', 90) FROM generate_series(1, 6000) i;
ANALYZE;
"""

NEW = """
CREATE SCHEMA app;
CREATE FUNCTION app.shout(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t)';
CREATE TABLE app.customer (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE INDEX by_name ON app.customer (name);
CREATE TABLE app.orders (id bigint PRIMARY KEY, what text, tag text UNIQUE,
                         customer bigint NOT NULL REFERENCES app.customer);
CREATE TABLE app.audit (at timestamptz, what text);
"""

FLOWS = [
    Flow("public.orders", "app.orders", key=("id",),
         select="SELECT id::bigint AS id, customer::bigint AS customer, app.shout(what) AS what FROM old"),
    Flow("public.customer", "app.customer", key=("id",),
         select="SELECT id::bigint AS id, name FROM old"),
    Flow("public.audit", "app.audit", insert_only=True, select="SELECT at, what FROM old"),
]


def must_be(what, got, wanted):
    if got != wanted:
        raise Failed(f"{what}: plan said {got}, it was {wanted}")


def flow_of(plan, target):
    return next(flow for table in plan["tables"] for flow in table["flows"] if flow["to"] == target)


def decisions(plan):
    """What the file alone fixes."""
    must_be("orders' SELECT", flow_of(plan, "app.orders")["select_runs"], "target")
    must_be("customer's SELECT", flow_of(plan, "app.customer")["select_runs"], "source")
    if "not built in" not in flow_of(plan, "app.orders")["why"]:
        raise Failed(f"plan gives no reason: {flow_of(plan, 'app.orders')['why']}")
    if not flow_of(plan, "app.customer")["rank"] < flow_of(plan, "app.orders")["rank"]:
        raise Failed("plan writes children before parents")
    must_be("audit's snapshot", [t["one_snapshot"] for t in plan["tables"]
                                 if t["table"] == "public.audit"], [True])
    must_be("foreign keys that are validated", [d["validate"] for d in plan["definitions"]
                                                if d["kind"] == "foreign key"], [True])
    phases = [step["phase"] for step in plan["steps"]]
    must_be("order of phases", list(dict.fromkeys(phases)),
            ["prepare", "copy", "stream", "cutover", "switched"])


def logged(migration, event, field):
    return re.findall(rf" event={event} .*?\b{field}=(\S+)", migration.log_text())


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    # several flows, and no writer: what plan sees is what run finds
    migration = s.migration(FLOWS, chunk_bytes="256kB")
    said = migration.command("plan").out
    plan = json.loads(migration.command("plan", "--json").out)
    if migration.traces():
        raise Failed(f"plan left {migration.traces()}")
    for words in ("point of no return", "LOCK TABLE", "app.shout", "by_name", "at least"):
        if words not in said:
            raise Failed(f"plan does not say {words}:\n{said}")
    too_wide = [line for line in said.splitlines() if len(line) > 100 and line[:4].strip()]
    if too_wide:
        raise Failed(f"prose wider than 100 columns: {too_wide}")
    decisions(plan)

    migration.start()
    migration.wait_for("lag-zero")
    chunks = dict(s.target.rows("SELECT relation, count(*) FROM pgcrossfade.chunk GROUP BY 1"))
    must_be("chunks", {t["table"]: t["chunks"] for t in plan["tables"]}, chunks)
    if not chunks["public.orders"] > 2:
        raise Failed(f"too few chunks to tell: {chunks}")
    until(lambda: migration.status()["definitions"]["left"] == 0, "all definitions are back")
    restored = sorted(set(logged(migration, "definition.restored", "name")))
    must_be("definitions", sorted(d["name"] for d in plan["definitions"]), restored)
    publications = s.source.rows("SELECT pubname FROM pg_publication ORDER BY 1")
    made = next(step["sql"] for step in plan["steps"] if "publish" in step["what"])
    must_be("publications", sorted(re.search(r'PUBLICATION "(\w+)"', sql).group(1) for sql in made),
            [name for (name,) in publications])
    must_be("slot", plan["slot"], s.source.value("SELECT slot_name FROM pg_replication_slots"))

    migration.command("cutover")
    sequence, = plan["sequences"]
    must_be("sequence", sequence["next"],
            s.target.value(f"SELECT last_value FROM {sequence['sequence']}"))
    left = json.loads(migration.command("plan", "--json", expect=None).out)
    if "steps" in left and left["known_phase"] != "switched":
        raise Failed(f"plan does not see the phase: {left['known_phase']}")
    migration.command("complete")
    migration.ended(0)
