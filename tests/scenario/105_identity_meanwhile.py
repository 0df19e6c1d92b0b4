"""The replica identity of an old table, or the length of a column, changes while the migration runs.

What the flow reads is in the stream either way, but long values that an UPDATE left as they were
come with FULL only. The run goes on by itself, also where FULL is newer than the changes to come.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, n int, name varchar(5), body text);
ALTER TABLE public.item ALTER body SET STORAGE EXTERNAL;
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
    goes_on(s, migration)


def default_under_the_run(s, migration):
    s.source.run("ALTER TABLE public.item REPLICA IDENTITY DEFAULT")
    goes_on(s, migration)
    if "event=retry" in migration.log_text():
        raise Failed("the run did not go on at once")


def widened(s, migration):
    s.source.run("ALTER TABLE public.item ALTER name TYPE varchar, ALTER name SET STORAGE EXTERNAL")
    s.source.run("UPDATE public.item SET name = repeat(id::text, 2000)")
    goes_on(s, migration)
    if 'a long \\"name\\" of public.item did not come' not in migration.log_text():
        raise Failed("the run was not made to look at the table again")


def wide(s):
    """What the flags of kept values leave no room for needs FULL, and has it."""
    columns = [f"c{i}" for i in range(832)]
    listed = ", ".join(f"{column} text" for column in columns)
    s.source.run(f"CREATE TABLE public.wide (id int PRIMARY KEY, {listed})")
    s.source.run("ALTER TABLE public.wide REPLICA IDENTITY FULL")
    s.target.run(f"CREATE TABLE app.wide (id int PRIMARY KEY, {listed})")
    s.migration([Flow("public.wide", "app.wide", key=("id",),
                      select=f"SELECT id, {', '.join(columns)} FROM old")], name="wide").check()


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
    full_while_down(s, migration)
    default_under_the_run(s, migration)
    widened(s, migration)
    wide(s)
