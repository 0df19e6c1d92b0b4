"""Several rows of one, lookups and joins with them, where old and new are in one database.

The chunk's rows are read under the snapshot, what they join is read as it is now: in one
database these are two transactions of one connection. Writers change the old tables while
they are copied under several snapshots.
"""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed
from harness.writers import Table

SERVERS = 1

TABLES_SQL = """
CREATE SCHEMA app;
CREATE TABLE public.article (id int PRIMARY KEY, author text, tags text[], hits int);
ALTER TABLE public.article REPLICA IDENTITY FULL;
CREATE TABLE public.loose (id int, author text, note text);
ALTER TABLE public.loose REPLICA IDENTITY FULL;
INSERT INTO public.article
SELECT i, 'a' || i % 700, ARRAY['t' || i % 11, 't' || 11 + i % 7, 't' || i % 300], i
  FROM generate_series(1, 12000) i;
INSERT INTO public.loose
SELECT i % 400, 'a' || i % 50, repeat('note ', 80) FROM generate_series(1, 900) i;

CREATE TABLE app.author (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.tag (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.article (
    article_id bigint PRIMARY KEY, author_id int REFERENCES app.author, hits bigint);
CREATE TABLE app.article_tag (
    article_id bigint, tag_id uuid REFERENCES app.tag, PRIMARY KEY (article_id, tag_id));
CREATE TABLE app.place (article_id bigint, place int, tag text, PRIMARY KEY (article_id, place));
CREATE TABLE app.hits (article_id bigint PRIMARY KEY, hits int);
CREATE TABLE app.loose (loose_id bigint, author_id int);

-- the copy takes longer than one snapshot lives, and each chunk waits for those before it
CREATE FUNCTION app.slowly() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END$$;
CREATE TRIGGER slowly AFTER INSERT ON app.hits EXECUTE FUNCTION app.slowly();
CREATE TRIGGER slowly AFTER INSERT ON app.loose EXECUTE FUNCTION app.slowly();
"""

FLOWS = [
    Flow("public.article", "app.article", key=("article_id",), at_target=True, select="""
        SELECT o.id::bigint AS article_id, a.id AS author_id, o.hits::bigint AS hits
        FROM old o LEFT JOIN app.author a ON a.name = o.author
    """),
    Flow("public.article", "app.article_tag", key=("article_id", "tag_id"), owner=("article_id",),
         at_target=True, select="""
        SELECT o.id::bigint AS article_id, t.id AS tag_id
        FROM old o CROSS JOIN LATERAL (SELECT DISTINCT unnest(o.tags) AS name) x
             JOIN app.tag t ON t.name = x.name
    """),
    Flow("public.article", "app.place", key=("article_id", "place"), owner=("article_id",),
         select="""
        SELECT id::bigint AS article_id, t.place::int AS place, t.tag
        FROM old, unnest(tags) WITH ORDINALITY AS t(tag, place)
    """),
    # neither lookup nor join; it goes with its table all the same
    Flow("public.article", "app.hits", key=("article_id",), select="""
        SELECT id::bigint AS article_id, hits FROM old WHERE hits > 20
    """),
    Flow("public.article", "app.author", key=("name",), lookup=True,
         select="SELECT DISTINCT author AS name FROM old WHERE author IS NOT NULL"),
    Flow("public.article", "app.tag", key=("name",), lookup=True,
         select="SELECT DISTINCT t AS name FROM old, unnest(tags) AS t WHERE t IS NOT NULL"),
    Flow("public.loose", "app.author", key=("name",), lookup=True,
         select="SELECT DISTINCT author AS name FROM old WHERE author IS NOT NULL"),
    Flow("public.loose", "app.loose", at_target=True, select="""
        SELECT o.id::bigint AS loose_id,
               (SELECT a.id FROM app.author a WHERE a.name = o.author) AS author_id
        FROM old o
    """),
]


def author(rng):
    return f"a{rng.randrange(rng.choice([30, 3000]))}"


def tags(rng):
    return [rng.choice([f"t{rng.randrange(400)}", f"T{rng.randrange(10 ** 6)}", None])
            for _ in range(rng.randrange(5))]


ARTICLE = Table("public.article", {"id": values.up_to(15000)},
                {"author": values.maybe(author), "tags": values.maybe(tags), "hits": values.small})
LOOSE = Table("public.loose", {"id": values.up_to(400)}, {"author": values.maybe(author)},
              unique=False)


def copy_under_several_snapshots(s, migration):
    with s.writers([ARTICLE, LOOSE]) as writers:
        writers.more(50)
        migration.start()
        migration.wait_for("stream")
        s.source.run("DROP TRIGGER slowly ON app.hits; DROP TRIGGER slowly ON app.loose")
        writers.more(300)
        writers.stop()
    count = s.source.value("SELECT count(DISTINCT lg) FROM pgcrossfade.chunk_copied")
    print(f"{migration.chunks_copied()} chunks under {count} snapshots")
    if count < 2:
        raise Failed("one snapshot was enough: the test shows less than it says")
    drain(migration)
    must_equal(migration)


def lookups_once(migration):
    """What each old row needed is there once, and nothing else came along."""
    for name, select in (("author", "SELECT author FROM public.article UNION"
                                    " SELECT author FROM public.loose"),
                         ("tag", "SELECT unnest(tags) FROM public.article")):
        lost = migration.target.rows(
            f"SELECT v FROM ({select}) AS o(v) WHERE v IS NOT NULL"
            f" EXCEPT SELECT name FROM app.{name}")
        if lost:
            raise Failed(f"app.{name} lacks {lost[:5]}")


def scenario(s):
    s.source.run(TABLES_SQL)
    migration = s.migration(FLOWS, target=s.source, jobs=1, chunk_bytes="64kB",
                            snapshot_max_age="1s")
    copy_under_several_snapshots(s, migration)
    lookups_once(migration)
    s.source.run("UPDATE public.article SET id = id + 100000, author = 'new ' || id % 3,"
                 " tags = tags || ('new ' || id % 5) WHERE id < 200;"
                 "TRUNCATE public.loose; INSERT INTO public.loose VALUES (1, 'the last')")
    drain(migration)
    must_equal(migration)
    lookups_once(migration)
    print(migration.command("cutover").out)
    must_equal(migration)
