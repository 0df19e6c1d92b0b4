"""A role that is no superuser sets another's search_path: check names what it lacks, and that is enough.

What it takes is not the same everywhere: from PostgreSQL 16 on CREATEROLE alone reaches no role
that somebody else made.
"""
from harness.flow import Flow
from harness.migration import EXIT_CHECK
from harness.processes import Failed

SERVERS = 1
DECODER_MATTERS = False

ROLES = """
CREATE ROLE mover LOGIN REPLICATION; CREATE ROLE web LOGIN; CREATE ROLE "Web too" LOGIN;
ALTER DATABASE old OWNER TO mover;
"""
TABLES = """
CREATE SCHEMA v1; CREATE SCHEMA v2;
CREATE TABLE v1.product (id int PRIMARY KEY, name text);
CREATE TABLE v2.product (id bigint PRIMARY KEY, name text);
GRANT USAGE ON SCHEMA v2 TO web, "Web too"; GRANT SELECT ON v2.product TO web, "Web too";
INSERT INTO v1.product SELECT i, 'p' || i FROM generate_series(1, 100) i;
"""
FLOWS = [Flow("v1.product", "v2.product", key=("id",),
              select="SELECT id::bigint AS id, name FROM old")]
ROLE_NAMES = ("web", "Web too")
MORE = """
switch:
  search_path:
    - {role: web, path: [v2]}
    - {role: '"Web too"', path: [v2]}
"""


def as_mover(s, migration):
    with open(migration.file, "w") as f:
        f.write(migration.yaml().replace("user=postgres", "user=mover"))
    return migration


def lines_of(said):
    """The SQL that check says a superuser shall run, of each failure."""
    failures = [line for line in said.splitlines() if line.startswith("fail")]
    return [line.partition("run as a superuser: ")[2] for line in failures]


def found_by(s, role):
    connection = s.source.connect(user=role)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM product")
        count = cursor.fetchone()[0]
    connection.close()
    return count


def scenario(s):
    s.source.run(ROLES)
    owner = s.source.connect(user="mover", autocommit=True)
    with owner.cursor() as cursor:
        cursor.execute(TABLES)
    owner.close()
    migration = as_mover(s, s.migration(FLOWS, target=s.source, more=MORE))
    said = migration.check(expect=EXIT_CHECK).text
    lines = lines_of(said)
    if len(lines) != len(ROLE_NAMES) or not all("ALTER ROLE mover CREATEROLE" in x for x in lines):
        raise Failed(f"check does not say what to grant, and nothing else:\n{said}")
    s.source.run("".join(lines[:1]))
    if s.source.value("SHOW server_version_num") >= "160000":
        if len(lines_of(migration.check(expect=EXIT_CHECK).text)) != 1:
            raise Failed("CREATEROLE was taken for enough")
        s.source.run(lines[1])
    migration.start()
    migration.wait_for("lag-zero")
    migration.command("cutover")
    for role in ROLE_NAMES:
        if found_by(s, role) != 100:
            raise Failed(f"{role} does not find the new table")
