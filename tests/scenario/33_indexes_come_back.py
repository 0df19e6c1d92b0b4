"""Indexes and constraints of the target are away for the copy and come back, crash or not."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until
from harness.writers import Table

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.person (id int PRIMARY KEY, name text, born date);
CREATE TABLE public.badge (id int PRIMARY KEY, person_id int REFERENCES public.person);
INSERT INTO public.person
SELECT i, repeat(md5(i::text), 3), date '1990-01-01' + i % 9000 FROM generate_series(1, 60000) i;
INSERT INTO public.badge SELECT i, i FROM generate_series(1, 20000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE FUNCTION app.fold(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
CREATE TABLE app.person (id bigint PRIMARY KEY WITH (fillfactor = 65), name text, born date,
    UNIQUE (id, born) WITH (fillfactor = 55, deduplicate_items = off) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT one_name EXCLUDE (id WITH =) WITH (fillfactor = 80) WHERE (born > '2010-01-01') DEFERRABLE);
CREATE TABLE app.badge (id bigint PRIMARY KEY, person_id bigint,
    CONSTRAINT "badge's person" FOREIGN KEY (person_id) REFERENCES app.person ON DELETE CASCADE);
CREATE TABLE app.outsider (person_id bigint REFERENCES app.person);
CREATE INDEX person_born ON app.person (born) INCLUDE (id) WITH (fillfactor = 70);
CREATE INDEX "Person's name" ON app.person (app.fold(name) DESC NULLS LAST) WHERE born > '1995-01-01';
CREATE UNIQUE INDEX person_late ON app.person (id) WHERE born > '2000-01-01';
ALTER INDEX app."Person's name" ALTER COLUMN 1 SET STATISTICS 777;
COMMENT ON INDEX app.person_born IS 'the index''s comment';
COMMENT ON CONSTRAINT badge_pkey ON app.badge IS 'the key''s comment';
ALTER TABLE app.badge CLUSTER ON badge_pkey;
"""

# everything that a definition says, and what stands beside it
DEFINITIONS = """
SELECT pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'),
       i.indisclustered::text || i.indisprimary::text || i.indisvalid::text
       || (SELECT string_agg(coalesce(attstattarget, -1)::text, ',' ORDER BY attnum)
             FROM pg_attribute WHERE attrelid = i.indexrelid)
  FROM pg_index i WHERE i.indrelid IN ('app.person'::regclass, 'app.badge'::regclass,
                                       'app.outsider'::regclass)
UNION ALL
SELECT conname || ' ' || pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint'),
       convalidated::text || condeferrable::text
  FROM pg_constraint WHERE connamespace = 'app'::regnamespace ORDER BY 1, 2, 3
"""

FLOWS = [
    Flow("public.person", "app.person", key=("id",),
         select="SELECT id::bigint AS id, name, born FROM old"),
    Flow("public.badge", "app.badge", key=("id",),
         select="SELECT id::bigint AS id, person_id::bigint AS person_id FROM old"),
]

BADGE = Table("public.badge", {"id": values.up_to(30000)},
              {"person_id": values.maybe(values.up_to(60000))})

AWAY = "SELECT count(*) FROM pgcrossfade.definition"


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    before = s.target.rows(DEFINITIONS)
    migration = s.migration(FLOWS)
    with s.writers([BADGE], count=1) as writers:
        migration.start()
        until(lambda: migration.chunks_copied() >= 2, "two chunks", alive=migration.must_run)
        if s.target.value(AWAY) < 5:
            raise Failed(f"only {s.target.value(AWAY)} definitions are away while copying")
        migration.kill9()
        if len(s.target.rows(DEFINITIONS)) >= len(before):
            raise Failed("nothing is away after the kill: the test shows nothing")
        for _ in range(4):  # the kills fall anywhere in copy, build and stream
            migration.start()
            away = s.target.value(AWAY)
            until(lambda: s.target.value(AWAY) < away or migration.phase() == "stream",
                  "one more definition", alive=migration.must_run)
            migration.kill9()
        migration.start()
        migration.wait_for("lag-zero")
        writers.stop()
    drain(migration)
    must_equal(migration)
    migration.command("cutover")
    until(lambda: s.target.value(AWAY) == 0, "the last definition", alive=migration.must_run)
    after = s.target.rows(DEFINITIONS)
    if after != before:
        raise Failed(f"lost: {set(before) - set(after)}, new: {set(after) - set(before)}")
