"""Values of the stream are read as the types read them, whatever casts from text there are.

A cast of a type that the flow does not read may be volatile.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_CHECK
from harness.processes import Failed

# A cast that makes another value of it; regclass has one by birth, that takes "-" for a name.
TYPES = """
CREATE TYPE public.pair AS (n int, word text);
CREATE FUNCTION public.wrong(text) RETURNS public.pair IMMUTABLE LANGUAGE sql
  AS 'SELECT ROW(-1, ''by cast'')::public.pair';
CREATE FUNCTION public.wrong(varchar) RETURNS public.pair IMMUTABLE LANGUAGE sql
  AS 'SELECT ROW(-2, ''by cast'')::public.pair';
CREATE CAST (text AS public.pair) WITH FUNCTION public.wrong(text);
CREATE CAST (varchar AS public.pair) WITH FUNCTION public.wrong(varchar) AS IMPLICIT;
CREATE DOMAIN public.couple AS public.pair CHECK ((VALUE).n >= 0);
CREATE DOMAIN public.relation AS regclass;
CREATE TABLE public."42" ();
"""
OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, pair public.pair, couple public.couple,
                       pairs public.pair[], relation public.relation, class regclass, word text);
INSERT INTO a SELECT i, ROW(i, 'a b')::public.pair, ROW(i, ' "x" ')::public.pair, ARRAY[ROW(i, 'z')::public.pair],
  CASE WHEN i % 2 = 0 THEN '-'::regclass ELSE 'public."42"'::regclass END, '-', 'w'
  FROM generate_series(1, 100) i;
"""
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.a (id int PRIMARY KEY, pair public.pair, couple public.couple,
                    pairs public.pair[], relation public.relation, class regclass, word text);
CREATE TYPE app.stranger AS (n int);
CREATE FUNCTION app.volatile(app.stranger) RETURNS text LANGUAGE sql AS $$SELECT 'by cast'$$;
CREATE CAST (app.stranger AS text) WITH FUNCTION app.volatile(app.stranger);
"""
FLOWS = [Flow("public.a", "app.a", key=("id",),
              select="SELECT id, pair, couple, pairs, relation, class, word::text AS word FROM old")]
THIRD = """
CREATE FUNCTION public.wrong(bpchar) RETURNS public.pair IMMUTABLE LANGUAGE sql
  AS 'SELECT ROW(-3, ''by cast'')::public.pair';
CREATE CAST (bpchar AS public.pair) WITH FUNCTION public.wrong(bpchar);
"""


def no_way_left(s):
    """check names the column; nothing else is wrong."""
    s.target.run(THIRD)
    said = s.migration(FLOWS, name="third").check(expect=EXIT_CHECK).text
    if "column pair has type public.pair, to which the target has casts from text" not in said:
        raise Failed(f"check does not name the column:\n{said}")
    s.target.run("DROP CAST (bpchar AS public.pair)")


def scenario(s):
    s.source.run(TYPES + OLD)
    s.target.run(TYPES + NEW)
    no_way_left(s)
    migration = s.migration(FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run("INSERT INTO a SELECT id + 1000, pair, couple, pairs, relation, class, word FROM a")
    s.source.run("UPDATE a SET word = 'v' WHERE id % 3 = 0")
    s.source.run("UPDATE a SET id = id + 5000 WHERE id < 20")
    drain(migration)
    must_equal(migration)
