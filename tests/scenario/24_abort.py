"""abort, from any phase before the switch, leaves no trace on either server."""
from harness import values
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed, until
from harness.writers import Table

OLD = """
CREATE TABLE public.thing (id int PRIMARY KEY, body text);
INSERT INTO public.thing
SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 60000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.thing (id bigint PRIMARY KEY, body text, UNIQUE (id, body));
CREATE INDEX thing_head ON app.thing (left(body, 5));
"""

FLOWS = [Flow("public.thing", "app.thing", key=("id",), select="""
    SELECT id::bigint AS id, body FROM old
""")]

THING = Table("public.thing", {"id": values.up_to(70000)}, {"body": values.maybe(values.text)})

DEFINITIONS = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'app'
UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'app'::regnamespace ORDER BY 1
"""


def must_be_gone(s, migration, definitions):
    left = migration.traces()
    if left:
        raise Failed(f"left behind: {left}")
    if s.target.rows(DEFINITIONS) != definitions:
        raise Failed(f"the target's definitions changed: {s.target.rows(DEFINITIONS)}")
    s.target.run("TRUNCATE app.thing")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    definitions = s.target.rows(DEFINITIONS)
    migration = s.migration(FLOWS)
    with s.writers([THING]) as writers:
        print("while copying")
        migration.start()
        until(lambda: migration.chunks_copied() >= 2, "two chunks", alive=migration.must_run)
        migration.command("abort")
        migration.ended(0)
        must_be_gone(s, migration, definitions)

        print("while streaming")
        migration.start()
        migration.wait_for("lag-zero")
        migration.command("abort")
        migration.ended(0)
        must_be_gone(s, migration, definitions)

        print("with no run alive")
        migration.start()
        migration.wait_for("stream")
        migration.kill9()
        migration.command("abort")
        must_be_gone(s, migration, definitions)
        writers.more(20)
        writers.stop()

    print("not while somebody outside refers to a row")
    migration.start()
    migration.wait_for("lag-zero")
    s.target.run("CREATE TABLE public.other (thing bigint REFERENCES app.thing DEFERRABLE);"
                 "INSERT INTO public.other SELECT min(id) FROM app.thing")
    migration.command("abort", expect=EXIT_BAD)
    if not s.source.value("SELECT count(*) FROM pg_replication_slots"):
        raise Failed("the slot is gone, and the migration is not")
    s.target.run("DROP TABLE public.other")
    s.source.run("INSERT INTO public.thing VALUES (80001, 'it goes on')")
    until(lambda: s.target.value("SELECT count(*) FROM app.thing WHERE id = 80001") == 1, "the stream goes on",
          alive=migration.must_run)
    migration.command("abort")
    migration.ended(0)
    must_be_gone(s, migration, definitions)

    print("when the new table is gone")
    migration.start()
    migration.wait_for("lag-zero")
    migration.terminate()
    s.target.run("DROP SCHEMA app CASCADE")
    migration.command("abort")
    s.target.run(NEW)
    must_be_gone(s, migration, definitions)

    print("not after the switch")
    migration.start()
    migration.wait_for("lag-zero")
    migration.command("cutover")
    migration.command("abort", expect=EXIT_BAD)
    if migration.phase() != "switched":
        raise Failed(f"phase {migration.phase()} after a refused abort")
