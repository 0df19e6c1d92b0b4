"""A whole migration by a role with what docs/privileges.md grants it, and nothing else."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.privileges import NEW, OLD, by_mover, closed_database, grant
from harness.processes import Failed
from harness.writers import Table

VISIT = Table("public.visit", {"id": values.up_to(4000)},
              {"customer_id": values.up_to(100), "note": values.text},
              changes=("update", "delete"))

# the comparer runs the SELECT at the source as well; mover has no part in it
SHOUT = """
CREATE SCHEMA app;
CREATE FUNCTION app.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
"""

RENAME = """
switch:
  rename:
    - {table: public.customer, to: public.customer_old}
    - {table: app.customer, to: app.buyer}
"""

def whole_life(s, migration):
    """check, run, stream, cutover, complete."""
    migration.check()
    with s.writers([VISIT], database=migration.source) as writers:
        migration.start()
        migration.wait_for("stream")
        writers.more(60)
        writers.stop()
    drain(migration)
    must_equal(migration)
    migration.command("cutover")
    migration.command("complete", "--drop-old-tables")
    migration.ended(0)


def aborted_life(s, source, target):
    """check, run, stream, abort: nothing stays."""
    migration = by_mover(s, source, target, name="aborted")
    migration.start()
    migration.wait_for("stream")
    migration.command("abort")
    migration.ended(0)
    if migration.traces():
        raise Failed(f"abort left {migration.traces()}")


def between_two_databases(s):
    source = closed_database(s.servers[0], "shop")
    target = closed_database(s.servers[-1], "shop_v2")
    source.run(OLD)
    source.run(SHOUT)
    target.run(NEW)
    grant(source, "source")
    grant(target, "target")
    aborted_life(s, source, target)
    whole_life(s, by_mover(s, source, target))


def in_one_database(s):
    """On the target's server: the roles app_v2 and mover of the other database go first."""
    database = closed_database(s.servers[-1], "shop")
    s.servers[-1].database("shop_v2").run("DROP OWNED BY mover, app_v2; DROP ROLE mover, app_v2")
    database.run(OLD)
    database.run(NEW)
    database.run("ALTER SCHEMA public OWNER TO app")  # renaming takes CREATE on the schema
    grant(database, "one database")
    aborted_life(s, database, database)
    whole_life(s, by_mover(s, database, database, name="inside", more=RENAME))


def scenario(s):
    between_two_databases(s)
    in_one_database(s)
