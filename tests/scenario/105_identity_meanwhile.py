"""The replica identity of an old table, or the length of a column, changes while the migration runs.

What the flow reads is in the stream either way, but long values that an UPDATE left as they were
come with FULL only. The run goes on from what the table is now, by itself; where the older changes
were made under another identity it waits until that is set again.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import until

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, n int, name varchar(5), body text);
ALTER TABLE public.item ALTER body SET STORAGE EXTERNAL, ALTER name SET STORAGE EXTERNAL;
INSERT INTO public.item SELECT i, i, 'i' || i, repeat(md5(i::text), 100) FROM generate_series(1, 100) i;
"""

NEW = "CREATE SCHEMA app; CREATE TABLE app.item (id bigint PRIMARY KEY, n bigint, name text, body text)"

FLOWS = [Flow("public.item", "app.item", key=("id",),
              select="SELECT id::bigint AS id, n::bigint AS n, name::text AS name, body FROM old")]

LEFT = "UPDATE public.item SET n = n + 1 WHERE id < 10"
MOVED = "UPDATE public.item SET id = id + 1000 WHERE id BETWEEN 10 AND 20"


def goes_on(s, migration):
    s.source.run(LEFT)
    s.source.run(MOVED)
    drain(migration)
    must_equal(migration)


def full_while_down(s, migration):
    migration.terminate()
    s.source.run(LEFT)
    s.source.run("ALTER TABLE public.item REPLICA IDENTITY FULL")
    s.source.run(LEFT)
    migration.start()
    until(lambda: 'a long \\"body\\" of public.item did not come' in migration.log_text(), "it says what it waits for",
          alive=migration.must_run)
    s.source.run("ALTER TABLE public.item REPLICA IDENTITY DEFAULT")
    goes_on(s, migration)


def default_under_the_run(s, migration):
    s.source.run("ALTER TABLE public.item REPLICA IDENTITY FULL")
    goes_on(s, migration)
    migration.terminate()
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run("ALTER TABLE public.item REPLICA IDENTITY DEFAULT")
    goes_on(s, migration)


def widened(s, migration):
    s.source.run("ALTER TABLE public.item ALTER name TYPE varchar")
    s.source.run("UPDATE public.item SET name = repeat(id::text, 2000)")
    goes_on(s, migration)


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
    full_while_down(s, migration)
    default_under_the_run(s, migration)
    widened(s, migration)
