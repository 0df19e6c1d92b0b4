"""The switch sets a role's search_path and runs the migration's own SQL on both sides."""
from harness.flow import Flow
from harness.processes import Failed

SERVERS = 1

TABLES_SQL = """
CREATE ROLE web LOGIN;
CREATE SCHEMA v1 AUTHORIZATION web;
CREATE SCHEMA v2 AUTHORIZATION web;
ALTER ROLE web SET search_path = v1;
CREATE TABLE v1.product (id int PRIMARY KEY, name text);
CREATE TABLE v2.product (id bigint PRIMARY KEY, name text);
GRANT SELECT ON v1.product, v2.product TO web;
INSERT INTO v1.product SELECT i, 'p' || i FROM generate_series(1, 1000) i;
"""

FLOWS = [Flow("v1.product", "v2.product", key=("id",), select="""
    SELECT id::bigint AS id, upper(name) AS name FROM old
""")]

MORE = """
switch:
  search_path:
    - {role: web, path: [v2, public]}
  source_sql: |
    CREATE TABLE v1.retired (at timestamptz DEFAULT now());
    COMMENT ON TABLE v1.product IS 'moved; see v2.product'
  target_sql: |
    CREATE VIEW v2.cheap AS SELECT * FROM v2.product WHERE name < 'P3'
"""

COMMENT = "SELECT obj_description('v1.product'::regclass)"


def as_web(s):
    connection = s.source.connect(user="web")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('search_path'), name FROM product WHERE id = 7")
        row = cursor.fetchone()
    connection.close()
    return row


def scenario(s):
    s.source.run(TABLES_SQL)
    migration = s.migration(FLOWS, target=s.source, more=MORE)
    migration.start()
    migration.wait_for("lag-zero")
    if as_web(s) != ("v1", "p7") or s.source.value(COMMENT) is not None:
        raise Failed("something was switched before the cutover")
    migration.command("cutover")
    path, name = as_web(s)
    if path.replace('"', "") != "v2, public" or name != "P7":
        raise Failed(f"web sees search_path {path} and name {name}")
    if s.source.value(COMMENT) != "moved; see v2.product":
        raise Failed("source_sql did not run")
    if s.source.value("SELECT count(*) FROM v1.retired") != 0:
        raise Failed("source_sql ran twice")
    if s.source.value("SELECT count(*) FROM v2.cheap") == 0:
        raise Failed("target_sql did not run")
