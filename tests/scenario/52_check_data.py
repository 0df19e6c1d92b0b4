"""check tries each flow on the rows that are there: what would be refused, how often, where."""
import json

from harness.flow import Flow
from harness.migration import EXIT_CHECK
from harness.processes import Failed

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, code text, price numeric, name text, bits varbit,
                          at text, note text, grp int);
INSERT INTO item SELECT i, i::text, i, 'n' || i, B'101', '2020-01-01', 'x', i
  FROM generate_series(1, 20000) i;
UPDATE item SET code = 'abc' WHERE id IN (77, 12345, 19999);
UPDATE item SET code = '99999999999' WHERE id = 500;
UPDATE item SET price = 1e9 WHERE id = 600;
UPDATE item SET name = repeat('y', 21) WHERE id IN (700, 701);
UPDATE item SET name = repeat('z', 20) || '   ' WHERE id = 702; -- blanks may be cut
UPDATE item SET bits = B'1' WHERE id = 800;
UPDATE item SET note = NULL WHERE id = 900;
UPDATE item SET price = -5 WHERE id = 1000;
UPDATE item SET at = '31.12.2020' WHERE id = 1100;
UPDATE item SET grp = 1 WHERE id IN (1, 2, 3); UPDATE item SET grp = 4 WHERE id = 5;
CREATE TABLE public.wide (id int PRIMARY KEY, body text);
INSERT INTO wide SELECT i, repeat('w', 1500) FROM generate_series(1, 20000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE DOMAIN app.brief AS varchar(20) CHECK (VALUE <> 'n1200');
CREATE TABLE app.good (id int PRIMARY KEY, name text);
CREATE TABLE app.code (id int PRIMARY KEY, code int);
CREATE TABLE app.price (id int PRIMARY KEY, price numeric(8,2) CHECK (price >= 0));
CREATE TABLE app.name (id int PRIMARY KEY, name varchar(20));
CREATE TABLE app.short (id int PRIMARY KEY, name app.brief);
CREATE TABLE app.bits (id int PRIMARY KEY, bits bit(3));
CREATE TABLE app.at (id int PRIMARY KEY, at date);
CREATE TABLE app.note (id int PRIMARY KEY, note text NOT NULL);
CREATE TABLE app.grp (grp int PRIMARY KEY, id int);
CREATE TABLE app.uniq (id int PRIMARY KEY, grp int UNIQUE);
CREATE TABLE app.wide (id int PRIMARY KEY, body varchar(1600));
"""


def flow(table, outputs, key="id", where=""):
    return Flow("public.item", f"app.{table}", key=(key,), select=f"SELECT {outputs} FROM old {where}")


# outputs, and every failure wanted: the parts of one line each
CASES = {
    "good": ("id, name", []),
    "code": ("id, code::int AS code",
             [("refuses 3 of 20000", "(id=", 'invalid input syntax for type integer: "abc"'),
              ("refuses 1 of 20000", "row (id=500)", "out of range")]),
    "price": ("id, price",
              [("refuses 1 of 20000", "row (id=600)", "numeric field overflow"),
               ("1 of 20000", "CHECK price_price_check", "row (id=1000)")]),
    "name": ("id, name",
             [("2 of 20000", '"name" that is longer than 20 characters', "row (id=70")]),
    "short": ("id, name::varchar AS name",
              [("refuses 1 of 20000", "row (id=1200)", "brief_check"),
               ("2 of 20000", "longer than 20 characters", "row (id=70")]),
    "bits": ("id, bits::varbit AS bits", [("1 of 20000", "has not 3 bits", "row (id=800)")]),
    "at": ("id, at::date AS at", [("refuses 1 of 20000", "row (id=1100)", "31.12.2020")]),
    "note": ("id, note", [("1 of 20000", 'NULL in "note"', "row (id=900)")]),
    "grp": ("grp, id", [("5 old rows would become 2 rows", 'unique in ("grp")')]),
    "uniq": ("id, grp", [("5 old rows would become 2 rows", 'unique in ("grp")')]),
}


def complaints(migration, wanted):
    """Failures that are wanted and missing, or there and not wanted."""
    code = EXIT_CHECK if wanted else 0
    report = json.loads(migration.command("check", "--json", "--data-time", "60",
                                          expect=code).out)
    failures = [f["text"] for f in report["findings"] if f["level"] == "fail"]
    missing = [parts for parts in wanted
               if not any(all(part in text for part in parts) for text in failures)]
    if missing or len(failures) != len(wanted):
        return [f"{migration.name}: wanted {wanted}, got {failures}"]
    if not wanted and "all 20000 rows" not in json.dumps(report):
        return [f"{migration.name}: not all rows were tried: {report}"]
    return []


def key_beyond_the_filter(s):
    """A DELETE of a row that WHERE leaves out computes its key; where WHERE reads no more, it does not."""
    key = "(id || '000000')::int AS id, name"
    wanted = ("refuses 17853 of 20000", "out of range", "for rows that WHERE leaves out, too")
    inside = s.migration([flow("good", key, where="WHERE id < 3000")], name="inside", decoder="pgoutput")
    said = inside.command("check", expect=None).out
    if "the target refuses 852 of 20000" not in said or "WHERE leaves out" in said:
        raise Failed(f"inside the filter check says {said}")
    return complaints(s.migration([flow("good", key, where="WHERE grp < 1000")], name="beyond",
                                  decoder="pgoutput"), [wanted]) + \
        complaints(s.migration([flow("good", key, where="WHERE id < 1000")], name="within",
                               decoder="pgoutput"), [])


def warns(s):
    """Of what may be fine, and cannot be told."""
    made = s.migration([flow("price", "price::int AS id, 1 AS price", where="WHERE grp > 7 AND at <> 'today'")],
                       name="warned", decoder="pgoutput")
    said = made.command("check", expect=None).out
    for wanted in ("the key does not hold the primary key of public.item", "'today' depends on when it runs"):
        if said.count(wanted) != 1:
            raise Failed(f"{said.count(wanted)} times {wanted} in\n{said}")


def must_stop_in_time(s):
    """A table too large for the time is looked at all over; the time is held."""
    migration = s.migration([Flow("public.wide", "app.wide", key=("id",),
                                  select="SELECT id, body FROM old")], name="slow")
    said = migration.command("check", "--data-time", "0.02").out
    if "there was time for" not in said or "% of the table" not in said:
        raise Failed(f"a table was tried whole in 20 ms, or check does not say so:\n{said}")
    if "tried on the data" in migration.command("check", "--no-data").out:
        raise Failed("--no-data tries the data")


def rejects_may_cover(s):
    """Five rows for two keys: three are put aside, where so many may be."""
    for rejects, code, level in ((2, EXIT_CHECK, "fail"), (3, 0, "warn")):
        migration = s.migration([flow("grp", CASES["grp"][0], "grp")], name="covered",
                                decoder="pgoutput", rejects=rejects)
        report = json.loads(migration.command("check", "--json", "--data-time", "60",
                                              expect=code).out)
        said = [f for f in report["findings"] if "would become 2 rows" in f["text"]]
        if [f["level"] for f in said] != [level] or \
                (level == "warn") != ("puts 3 of them aside" in str(said[0])):
            raise Failed(f"rejects {rejects}: {said}")


def scenario(s):
    s.source.run(OLD)
    s.source.run("ALTER TABLE public.item REPLICA IDENTITY FULL")
    s.target.run(NEW)
    found = []
    for table, (outputs, wanted) in CASES.items():
        migration = s.migration([flow(table, outputs, outputs.split(",")[0])], name=table,
                                decoder="pgoutput")  # wal2json refuses numeric
        found += complaints(migration, wanted)
        if migration.traces():
            raise Failed(f"check left {migration.traces()}")
    found += key_beyond_the_filter(s)
    inside = s.source
    inside.run(NEW)
    found += complaints(s.migration([flow("code", CASES["code"][0])], source=inside,
                                    target=inside, name="inside", decoder="pgoutput"), CASES["code"][1])
    if found:
        raise Failed("\n".join(found))
    warns(s)
    rejects_may_cover(s)
    must_stop_in_time(s)
