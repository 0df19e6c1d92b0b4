"""kill -9 in copy and in stream, with owner flows, lookups and joins: nothing lost, nothing twice.

Of the owner flows one has no key, so that rows that come twice are seen.
"""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.kills import killed_in_stream
from harness.processes import Failed, until
from harness.writers import Table

# note has no index that could cut it, so that its copy starts over
OLD = """
CREATE TABLE public.person (id int PRIMARY KEY, city text, langs text[], note text);
ALTER TABLE public.person REPLICA IDENTITY FULL;
CREATE TABLE public.span (id int PRIMARY KEY, first int, days int);
CREATE TABLE public.note (of_id int, words text[]);
CREATE UNIQUE INDEX ON public.note ((of_id + 0));
ALTER TABLE public.note REPLICA IDENTITY FULL;
INSERT INTO public.person
SELECT i, 'c' || i % 700, ARRAY['l' || i % 13, 'm' || i % 29], repeat(md5(i::text), 3)
  FROM generate_series(1, 12000) i;
INSERT INTO public.span SELECT i, i, i % 4 FROM generate_series(1, 12000) i;
INSERT INTO public.note SELECT i, ARRAY['w' || i, 'w' || i, 'v' || i % 5]
  FROM generate_series(1, 8000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.city (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.lang (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.person (person_id bigint PRIMARY KEY, city_id int NOT NULL REFERENCES app.city);
CREATE TABLE app.speaks (person_id bigint, lang_id int REFERENCES app.lang,
                         PRIMARY KEY (person_id, lang_id));
CREATE TABLE app.day (span_id bigint NOT NULL, day int);
CREATE INDEX ON app.day (span_id);
CREATE TABLE app.word (of_id bigint NOT NULL, word text);
CREATE INDEX ON app.word (of_id);
"""

FLOWS = [
    Flow("public.person", "app.person", key=("person_id",), at_target=True, select="""
        SELECT o.id::bigint AS person_id, c.id AS city_id
        FROM old o JOIN app.city c ON c.name = o.city
    """),
    Flow("public.person", "app.speaks", key=("person_id", "lang_id"), owner=("person_id",),
         at_target=True, select="""
        SELECT o.id::bigint AS person_id, l.id AS lang_id
        FROM old o CROSS JOIN LATERAL (SELECT DISTINCT unnest(o.langs) AS name) x
             JOIN app.lang l ON l.name = x.name
    """),
    Flow("public.person", "app.city", key=("name",), lookup=True,
         select="SELECT DISTINCT city AS name FROM old"),
    Flow("public.person", "app.lang", key=("name",), lookup=True,
         select="SELECT DISTINCT l AS name FROM old, unnest(langs) AS l WHERE l IS NOT NULL"),
    Flow("public.span", "app.day", owner=("span_id",), select="""
        SELECT id::bigint AS span_id, d AS day
        FROM old CROSS JOIN LATERAL generate_series(first, first + days) d
    """),
    # no key on either side
    Flow("public.note", "app.word", owner=("of_id",), select="""
        SELECT of_id::bigint AS of_id, w AS word FROM old, unnest(words) AS w
    """),
]


def langs(rng):
    return [f"l{rng.randrange(400)}" for _ in range(rng.randrange(4))]


TABLES = [
    Table("public.person", {"id": values.up_to(13000)},
          {"city": lambda rng: f"c{rng.randrange(1500)}", "langs": values.maybe(langs),
           "note": values.text}),
    Table("public.span", {"id": values.up_to(13000)},
          {"first": values.maybe(values.small), "days": values.up_to(6)}),
    Table("public.note", {"of_id": values.up_to(9000)}, {"words": values.maybe(langs)}),
]

KEPT = """
SELECT relation, no, lg::text, rows, copied_at::text FROM pgcrossfade.chunk_copied
 WHERE migration = 'demo' AND relation <> 'public.note'
"""


def killed_in_copy(s, migration):
    """Before the first chunk, and with some more of them done each time; what was done stays."""
    kept = set()
    for more in (0, 1, 5, 9):
        migration.start()
        wanted = migration.chunks_copied() + more
        until(lambda: migration.phase() in ("copy", "stream") and
              (migration.chunks_copied() >= wanted or migration.phase() == "stream"),
              f"{wanted} chunks", every=0.005, alive=migration.must_run)
        migration.kill9()
        now = set(s.target.rows(KEPT))
        if not kept <= now:
            raise Failed(f"copied again: {sorted(kept - now)}")
        kept = now
    if migration.phase() != "copy":
        raise Failed("the copy was over before the last kill")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, chunk_bytes="64kB")
    with s.writers(TABLES, count=2, rate=80) as writers:
        writers.more(10)
        killed_in_copy(s, migration)
        killed_in_stream(s, migration, writers, (5, 40, 100))
        writers.stop()
    migration.start()
    drain(migration)
    must_equal(migration)
    for table, key in (("city", "name"), ("lang", "name")):
        if s.target.value(f"SELECT count(*) > count(DISTINCT {key}) FROM app.{table}"):
            raise Failed(f"a value of app.{table} is there twice")
    migration.command("cutover")
    must_equal(migration)
