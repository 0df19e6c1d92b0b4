"""A batch that is refused while a cutover drains is neither lost nor stepped over.

A transaction holds the old table and commits when the cutover waits for it, so that it comes
inside the drain. The cutover takes nothing for applied that was not.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed, until
from harness.rejects import count

OLD = """
CREATE TABLE public.parent (id int PRIMARY KEY);
CREATE TABLE public.stock (id int PRIMARY KEY, parent int, amount int, note text);
INSERT INTO public.parent SELECT i FROM generate_series(1, 10) i;
INSERT INTO public.stock SELECT i, 1, i, 'x' FROM generate_series(1, 2000) i;
"""

# no foreign key at the source: there a parent may be missing
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.parent (id bigint PRIMARY KEY);
CREATE TABLE app.stock (id bigint PRIMARY KEY, parent bigint REFERENCES app.parent,
    amount bigint CONSTRAINT few CHECK (amount < 100000), note text);
"""

FLOWS = [
    Flow("public.parent", "app.parent", key=("id",), select="SELECT id::bigint AS id FROM old"),
    Flow("public.stock", "app.stock", key=("id",), select="""
        SELECT id::bigint AS id, parent::bigint AS parent, amount::bigint AS amount, note FROM old
    """),
]

WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.stock'::regclass"


def cutover_meets(s, migration, sql):
    """The outcome of a cutover whose drain brings that."""
    with s.source.connect() as blocker, blocker.cursor() as cursor:
        cursor.execute(sql)
        cutover = migration.begin("cutover")
        until(lambda: s.source.value(WAITS) > 0, "the cutover waits for the lock", 20)
        blocker.commit()
    blocker.close()
    return migration.finish(cutover, None, 90)


def stops(s, migration):
    """Without rejects the run stops at the row, and nothing behind it is applied."""
    outcome = cutover_meets(s, migration, "INSERT INTO public.stock VALUES (5001, 1, 5, 'good'), (5002, 1, 200000, 'many')")
    if outcome.code == 0 or "few" not in outcome.text:
        raise Failed(f"the cutover ended with {outcome.code}: {outcome.text}")
    s.source.run("INSERT INTO public.stock VALUES (5003, 1, 5, 'later')")
    migration.ended(EXIT_CONFLICT)
    there = s.target.rows("SELECT id FROM app.stock WHERE id > 5000")
    if there or migration.phase() != "stream":
        raise Failed(f"{there} of the target, phase {migration.phase()}")
    s.target.run("ALTER TABLE app.stock DROP CONSTRAINT few")
    migration.start()
    drain(migration)
    must_equal(migration)


def in_parts(s, migration):
    """With rejects a transaction in parts is streamed again, and the cutover is asked for again."""
    migration.terminate()
    migration.change(rejects=30)
    migration.start()
    migration.wait_for("lag-zero")
    outcome = cutover_meets(s, migration,
                            "INSERT INTO public.stock SELECT i, CASE WHEN i = 10017 THEN 700 ELSE 1 END, 1, repeat('n', 200)"
                            " FROM generate_series(10001, 18000) i")
    if outcome.code == 0 or "interrupted before the switch; nothing changed: " not in outcome.text:
        raise Failed(f"the cutover ended with {outcome.code}: {outcome.text}")
    drain(migration)
    rows = s.target.value("SELECT count(*) FROM app.stock WHERE id > 10000")
    if (rows, count(migration)) != (7999, 1):
        raise Failed(f"{rows} rows and {count(migration)} rejects of 8000")
    s.source.run("INSERT INTO public.parent VALUES (700)")
    drain(migration)
    migration.command("retry")
    migration.command("cutover")
    must_equal(migration)


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS, memory="16MB", more="cutover: {lock_timeout: 20s, max_pause: 20s, tries: 4}")
    stops(s, migration)
    in_parts(s, migration)
