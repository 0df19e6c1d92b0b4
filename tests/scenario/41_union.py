"""Several flows into one target, told apart by a literal: of several old tables, and of one.

TRUNCATE of one of them, and a copy that starts over, take away its own rows and no others; where
no literal tells the rows apart, a TRUNCATE stops the run.
"""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_USAGE
from harness.processes import Failed, until
from harness.writers import Table

# fish has no index that could cut it, so that a copy of it that is interrupted starts over
OLD = """
CREATE TABLE public.cat (id int PRIMARY KEY, name text, lives int);
CREATE TABLE public.dog (id bigint PRIMARY KEY, name text, good boolean DEFAULT true);
ALTER TABLE public.dog REPLICA IDENTITY FULL;
CREATE TABLE public.fish (id int, name text, pond int);
CREATE UNIQUE INDEX ON public.fish ((id + 0));
ALTER TABLE public.fish REPLICA IDENTITY FULL;
CREATE TABLE public.contact (id int PRIMARY KEY, home text, work text, at_home boolean);
ALTER TABLE public.contact REPLICA IDENTITY FULL;
CREATE TABLE public.post (id int PRIMARY KEY, tags text[]);
CREATE TABLE public.page (id int PRIMARY KEY, tags text[], author int);
CREATE TABLE public.title (id int PRIMARY KEY, tag text);
INSERT INTO public.title SELECT i, 'title ' || i FROM generate_series(1, 3000) i;
INSERT INTO public.cat SELECT i, 'cat ' || i, i % 9 FROM generate_series(1, 8000) i;
INSERT INTO public.dog SELECT i, 'dog ' || i FROM generate_series(1, 8000) i;
INSERT INTO public.fish SELECT i, 'fish ' || i, i % 9 FROM generate_series(1, 20000) i;
INSERT INTO public.contact SELECT i, '0' || i, CASE WHEN i % 3 > 0 THEN '00' || i END, i % 5 > 0
  FROM generate_series(1, 6000) i;
INSERT INTO public.post SELECT i, ARRAY['a', 'b'] FROM generate_series(1, 3000) i;
INSERT INTO public.page SELECT i, ARRAY['a', 'x', 'y'], i FROM generate_series(1, 3000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.animal (kind text, id bigint, name text, lives int, PRIMARY KEY (kind, id));
CREATE TABLE app.phone (contact_id bigint, kind smallint, number text, PRIMARY KEY (kind, contact_id));
CREATE TABLE app.tag (place int, of varchar(9) NOT NULL, of_id bigint NOT NULL, tag text,
                      PRIMARY KEY (of, of_id, place));
"""

TAGS = """
        SELECT {literal} AS of, o.id::bigint AS of_id, t.place::int AS place, t.tag
        FROM old o CROSS JOIN LATERAL unnest(o.tags) WITH ORDINALITY AS t(tag, place)
"""

FLOWS = [
    Flow("public.cat", "app.animal", key=("kind", "id"), select="""
        SELECT 'cat' AS kind, id::bigint AS id, name, lives FROM old
    """),
    Flow("public.dog", "app.animal", key=("kind", "id"), select="""
        SELECT 'dog' AS kind, id, name FROM old WHERE good
    """),
    Flow("public.fish", "app.animal", key=("kind", "id"), select="""
        SELECT 'fish''s' AS kind, id::bigint AS id, name FROM old
    """),
    Flow("public.contact", "app.phone", key=("kind", "contact_id"), select="""
        SELECT id::bigint AS contact_id, 1 AS kind, home AS number FROM old WHERE at_home
    """),
    Flow("public.contact", "app.phone", key=("kind", "contact_id"), select="""
        SELECT id::bigint AS contact_id, -1 AS kind, work AS number FROM old
        WHERE work IS NOT NULL
    """),
    Flow("public.post", "app.tag", key=("of", "of_id", "place"), owner=("of", "of_id"),
         select=TAGS.format(literal="'post'")),
    Flow("public.page", "app.tag", key=("of", "of_id", "place"), owner=("of", "of_id"),
         select=TAGS.format(literal="'pa\\ge'")),
    # one row of one beside several of one
    Flow("public.title", "app.tag", key=("of", "of_id", "place"), select="""
        SELECT 'title' AS of, id::bigint AS of_id, 1 AS place, tag FROM old
    """),
]


def tags(rng):
    return [values.text(rng) for _ in range(rng.randrange(4))]


# one key space: rows of one id must not be taken for each other
ID = {"id": values.up_to(9000)}
TABLES = [
    Table("public.cat", ID, {"name": values.text, "lives": values.small}),
    Table("public.dog", ID, {"name": values.maybe(values.text), "good": values.boolean}),
    Table("public.fish", ID, {"name": values.maybe(values.text), "pond": values.small}),
    Table("public.contact", ID, {"home": values.text, "work": values.maybe(values.text),
                                 "at_home": values.boolean}),
    Table("public.post", ID, {"tags": values.maybe(tags)}),
    Table("public.page", ID, {"tags": values.maybe(tags), "author": values.small}),
    Table("public.title", ID, {"tag": values.text}),
]

COPIED = "SELECT relation, no, lg::text, rows, copied_at::text FROM pgcrossfade.chunk_copied"


def kill_amid(s, migration, relation):
    """kill -9 while some chunks of the relation, and not all of them, are copied."""
    some = (f"SELECT count(*) FILTER (WHERE c.relation IS NOT NULL), count(*)"
            f" FROM pgcrossfade.chunk LEFT JOIN pgcrossfade.chunk_copied c"
            f" USING (migration, relation, no)"
            f" WHERE migration = '{migration.name}' AND relation = '{relation}'")
    until(lambda: migration.phase() == "copy" and migration.chunks_copied() >= 2
          and s.target.rows(some)[0][0] >= 2, f"chunks of {relation}", every=0.002,
          alive=migration.must_run)
    migration.kill9()
    copied, total = s.target.rows(some)[0]
    if copied >= total:
        raise Failed(f"all {total} chunks of {relation} were copied before the kill:"
                     " the test shows nothing")


def copied_again(s, migration):
    """fish starts over; what was copied of the other tables, in the same target, stays."""
    migration.start()
    kill_amid(s, migration, "public.fish")
    before = set(s.target.rows(COPIED))
    s.source.run("DELETE FROM public.fish WHERE id % 100 = 7;"
                 "UPDATE public.fish SET name = 'between' WHERE id % 100 = 8;"
                 "UPDATE public.cat SET name = 'between' WHERE id % 100 = 8")
    migration.start()
    migration.wait_for("stream")
    after = set(s.target.rows(COPIED))
    others = {row for row in before if row[0] != "public.fish"}
    if not others <= after:
        raise Failed(f"copied again: {sorted(others - after)}")
    if before - others & after:
        raise Failed("chunks of fish of an older snapshot were kept")


TRUNCATED = [
    ("TRUNCATE public.dog", "app.animal", "kind <> 'dog'"),
    ("TRUNCATE public.fish", "app.animal", "kind <> 'fish''s'"),
    ("TRUNCATE public.page, public.title", "app.tag", "of = 'post'"),
    ("TRUNCATE public.contact, public.cat", "app.animal", "kind NOT IN ('cat')"),
]


def truncated(s, migration):
    """In order with the rows around it, and of its own rows only."""
    for statement, target, others in TRUNCATED:
        s.source.run("INSERT INTO public.dog VALUES (-1, 'a'); INSERT INTO public.cat VALUES (-1, 'b', 1);"
                     "INSERT INTO public.fish VALUES (-1, 'c', 1)")
        drain(migration)
        kept = s.target.value(f"SELECT count(*) FROM {target} WHERE {others}")
        if not kept:
            raise Failed(f"nothing beside {statement}: the test shows nothing")
        s.source.run(f"{statement};"
                     "INSERT INTO public.dog VALUES (-2, 'd') ON CONFLICT DO NOTHING;"
                     "INSERT INTO public.page VALUES (-2, '{q,r}', 1) ON CONFLICT DO NOTHING;"
                     "INSERT INTO public.contact VALUES (-2, '1', '2', true) ON CONFLICT DO NOTHING")
        s.source.run("DELETE FROM public.cat WHERE id < 0; DELETE FROM public.fish WHERE id < 0")
        s.source.run("DELETE FROM public.dog WHERE id < 0; DELETE FROM public.page WHERE id < 0")
        drain(migration)
        must_equal(migration)


MIXED_OLD = """
CREATE TABLE public.north (id int PRIMARY KEY, name text);
CREATE TABLE public.south (id int, name text);
ALTER TABLE public.south REPLICA IDENTITY FULL;
INSERT INTO public.north SELECT i, 'n' || i FROM generate_series(1, 10000) i;
INSERT INTO public.south SELECT -i, 's' || i FROM generate_series(1, 30000) i;
"""

MIXED = [
    Flow("public.north", "app.place", key=("id",), select="SELECT id::bigint AS id, name FROM old"),
    Flow("public.south", "app.place", key=("id",), select="SELECT id::bigint AS id, name FROM old"),
]


def told_apart_by_nothing(s):
    """Rows that only their ids keep apart: a copy starts over for both, a TRUNCATE stops the run."""
    s.source.run(MIXED_OLD)
    s.target.run("CREATE TABLE app.place (id bigint PRIMARY KEY, name text)")
    migration = s.migration(MIXED, name="mixed", chunk_bytes="64kB")
    migration.start()
    kill_amid(s, migration, "public.south")
    s.source.run("DELETE FROM public.south WHERE id % 50 = 0; DELETE FROM public.north WHERE id % 50 = 0;"
                 "UPDATE public.north SET name = 'between' WHERE id % 50 = 1")
    migration.start()
    migration.wait_for("stream")
    drain(migration)
    must_equal(migration)
    s.source.run("DELETE FROM public.south WHERE id % 2 = 0; UPDATE public.north SET id = id + 20000")
    drain(migration)
    must_equal(migration)
    before = s.target.value("SELECT count(*) FROM app.place")
    s.source.run("TRUNCATE public.south")
    migration.ended(EXIT_USAGE)
    for said in (migration.log_text(), migration.status()["error"]):
        if "TRUNCATE of public.south" not in said or "app.place holds rows of other flows" not in said:
            raise Failed(f"the TRUNCATE is not said to be what stopped it:\n{said[-2000:]}")
    if s.target.value("SELECT count(*) FROM app.place") != before:
        raise Failed("a TRUNCATE that stopped the run took rows")
    migration.command("abort")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, chunk_bytes="64kB")
    with s.writers(TABLES) as writers:
        writers.more(30)
        copied_again(s, migration)
        writers.more(200)
        writers.stop()
    drain(migration)
    must_equal(migration)
    truncated(s, migration)
    migration.terminate()
    told_apart_by_nothing(s)
