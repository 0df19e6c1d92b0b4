"""Another run takes the migration over while the first one is between the drain and the switch's commit.

The first has lost the connection that made it the only one, and does not know yet. Whether it
switches is known when its transaction has ended, and not before: the second run waits for that.
"""
from harness.flow import Flow
from harness.migration import EXIT_BAD, EXIT_USAGE
from harness.processes import Failed, until

SERVERS = 1
DECODER_MATTERS = False

TABLES_SQL = """
CREATE ROLE web LOGIN;
CREATE SCHEMA v1 AUTHORIZATION web;
CREATE SCHEMA v2 AUTHORIZATION web;
ALTER ROLE web SET search_path = v1;
CREATE TABLE v1.product (id int PRIMARY KEY, name text);
CREATE TABLE v2.product (id bigint PRIMARY KEY, name text);
GRANT ALL ON v1.product, v2.product TO web;
INSERT INTO v1.product SELECT i, 'p' || i FROM generate_series(1, 100) i;
"""

FLOWS = [Flow("v1.product", "v2.product", key=("id",), select="SELECT id::bigint AS id, name FROM old")]

MORE = """
cutover: {max_pause: 30s}
switch:
  search_path:
    - {role: web, path: [v2, public]}
  source_sql: SELECT pg_advisory_xact_lock(110)
"""

HELD = """
SELECT count(*) > 0 FROM pg_stat_activity
 WHERE application_name LIKE 'pgcrossfade%%' AND wait_event_type = 'Lock' AND query LIKE %s
"""

RUN_HOLDER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
   AND classid = (hashtext('pgcrossfade.run')::bigint & 4294967295)::oid
"""


def write_live(s):
    connection = s.source.connect(user="web")
    connection.cursor().execute("INSERT INTO product VALUES (1000, 'live')")
    connection.commit()
    connection.close()


def scenario(s):
    s.source.run(TABLES_SQL)
    migration = s.migration(FLOWS, target=s.source, more=MORE)
    migration.start()
    migration.wait_for("lag-zero")
    first = migration.process
    with s.source.connect() as held:
        held.cursor().execute("SELECT pg_advisory_lock(110)")
        asked = migration.begin("cutover")
        until(lambda: s.source.value(HELD, ["%pg_advisory_xact_lock(110)%"]), "the switch is held")
        migration.process = None
        migration.start()
        until(lambda: "event=lock.wait" in migration.log_text(), "the second run waits")
        (holder,), = s.source.rows(RUN_HOLDER)
        s.source.run("SELECT pg_terminate_backend(%s)", [holder])
        until(lambda: s.source.rows(RUN_HOLDER) not in ([], [(holder,)]), "the second run has it")
        until(lambda: "event=cutover.given_up" in migration.log_text()
              or s.source.value(HELD, ["%pgcrossfade.switch%"]), "it asks about the switch",
              alive=migration.must_run)
        held.cursor().execute("SELECT pg_advisory_unlock(110)")
    held.close()
    migration.until_phase("switched")
    migration.finish(asked, expect=None)
    if first.wait(30) != EXIT_USAGE:
        raise Failed(f"the first run ended with {first.returncode}")
    write_live(s)
    migration.command("abort", expect=EXIT_BAD)
    if s.source.value("SELECT count(*) FROM v2.product") != 101:
        raise Failed("abort emptied a table that clients use")
