"""Changes that fall between the snapshots of one table's chunks: moved rows with long values, TRUNCATE.

A key's chunk is found by its value, whatever casts from text there are, and of another type meanwhile
where no flow reads it.
"""
import threading

from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until
from harness.slow import held_copy
from harness.writers import Table

LONG = "(SELECT string_agg(md5((i * 1000 + k)::text), '') FROM generate_series(1, 300) k)"

OLD = """
CREATE TABLE public.doc (id int PRIMARY KEY, body text, n int);
ALTER TABLE public.doc ALTER body SET STORAGE EXTERNAL;
INSERT INTO public.doc
SELECT i * 10, CASE WHEN i % 40 = 0 THEN {long} ELSE repeat(md5(i::text), 5) END, i
FROM generate_series(1, 6000) i;
CREATE TABLE public.pair (a int, b {fine}, body text, n int, PRIMARY KEY (a, b));
ALTER TABLE public.pair ALTER body SET STORAGE EXTERNAL;
INSERT INTO public.pair SELECT i / 500, i, CASE WHEN i % 40 = 0 THEN {long} END, i FROM generate_series(1, 6000) i;
CREATE TABLE public.gone (id bigint PRIMARY KEY, label text, n int);
INSERT INTO public.gone SELECT i, repeat(md5(i::text), 5), i FROM generate_series(1, 8000) i;
CREATE TABLE public.log (day date PRIMARY KEY, note text);
INSERT INTO public.log SELECT date '2000-01-01' + i, repeat(md5(i::text), 10) FROM generate_series(1, 4000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.doc (doc_id bigint PRIMARY KEY, body text, n bigint);
CREATE TABLE app.pair (a bigint, b {fine}, body text, n bigint, PRIMARY KEY (a, b));
CREATE TABLE app.gone (id text PRIMARY KEY, label text, n bigint);
CREATE TABLE app.log (note text);
"""

# what somebody made of a text
CAST = """
CREATE FUNCTION app.wrong_{type}(text) RETURNS {type} IMMUTABLE LANGUAGE sql AS 'SELECT -1::{type}';
CREATE CAST (text AS {type}) WITH FUNCTION app.wrong_{type}(text);
"""

FLOWS = [
    Flow("public.doc", "app.doc", key=("doc_id",),
         select="SELECT id::bigint AS doc_id, body, n::bigint AS n FROM old WHERE n IS NOT NULL"),
    Flow("public.pair", "app.pair", key=("a", "b"),
         select="SELECT a::bigint AS a, b, body, n::bigint AS n FROM old"),
    Flow("public.gone", "app.gone", key=("id",),
         select="SELECT id::text AS id, label, n::bigint AS n FROM old"),
    # cut by a key that it does not read
    Flow("public.log", "app.log", insert_only=True, select="SELECT note FROM old"),
]

# from chunks that are copied last into chunks that were copied first; 400, 800, ... are long
MOVES = [
    "UPDATE public.doc SET id = 1 WHERE id = 56000",
    "UPDATE public.doc SET id = 2 WHERE id = 56400; UPDATE public.doc SET n = -2 WHERE id = 2",
    "UPDATE public.doc SET id = 3 WHERE id = 56800; DELETE FROM public.doc WHERE id = 3",
    "BEGIN; UPDATE public.doc SET id = 4 WHERE id = 57200; UPDATE public.doc SET id = 5 WHERE id = 4; COMMIT",
    "UPDATE public.doc SET id = 6 WHERE id = 57600",
    "UPDATE public.doc SET id = 7 WHERE id = 6",
    # another long row comes to a key that a long row has left
    "UPDATE public.doc SET id = 6 WHERE id = 58000",
    "UPDATE public.doc SET id = 8 WHERE id = 58400; UPDATE public.doc SET body = 'short' WHERE id = 8",
    "UPDATE public.doc SET id = 9 WHERE id = 58800",
    # there and back again
    "UPDATE public.doc SET id = 58801 WHERE id = 9",
    "UPDATE public.doc SET id = 11 WHERE id = 58801",
    "DELETE FROM public.doc WHERE id = 11; INSERT INTO public.doc VALUES (11, 'another', 1)",
    # the filter has it out, then in
    "UPDATE public.doc SET id = 12, n = NULL WHERE id = 59200",
    "UPDATE public.pair SET a = 0 WHERE b = 5960",
    "UPDATE public.pair SET b = -1 WHERE b = 5960",
    "UPDATE public.pair SET a = 0 WHERE b = 5920; UPDATE public.pair SET n = 7 WHERE b = 5920",
    # where b is numeric, one key has many texts
    "UPDATE public.pair SET a = 0, b = 5880.0 WHERE b = 5880; UPDATE public.pair SET b = 5880.000 WHERE b = 5880",
    "UPDATE public.pair SET n = 8 WHERE b = 5880; UPDATE public.pair SET b = 5880 WHERE b = 5880",
]

# TRUNCATE waits for the first snapshot's transaction to end, so it falls between the two
EMPTIED = [
    "INSERT INTO public.gone VALUES (1000000, 'goes', 1)",
    "TRUNCATE public.gone",
    "INSERT INTO public.gone SELECT i, 'back', i FROM generate_series(1, 9000, 7) i",
    "UPDATE public.gone SET n = 0 WHERE id % 3 = 0",
    "DELETE FROM public.gone WHERE id % 5 = 0",
    "UPDATE public.gone SET id = id + 4000 WHERE id < 100",
]

# and so does another type of what cuts the chunks, before and behind which rows come
RETYPED = [
    "INSERT INTO public.log SELECT date '1990-01-01' + i * 10000, 'before' FROM generate_series(0, 2) i",
    "ALTER TABLE public.log ALTER day TYPE timestamp;"
    "INSERT INTO public.log SELECT timestamp '1990-02-01' + i * interval '10000 days', 'after' FROM generate_series(0, 2) i",
]

DOC = Table("public.doc", {"id": values.up_to(60000)}, {"n": values.maybe(values.small)})
PAIR = Table("public.pair", {"a": values.up_to(12), "b": values.up_to(6000)}, {"n": values.small})
GONE = Table("public.gone", {"id": values.up_to(9000)}, {"n": values.small})


def run_all(database, statements):
    connection = database.connect(autocommit=True)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def scenario(s):
    fine = "numeric" if s.decoder == "pgoutput" else "int"
    s.source.run(OLD.format(fine=fine, long=LONG))
    s.target.run(NEW.replace("{fine}", fine))
    for type in ("numeric", "bigint"):
        s.target.run(CAST.format(type=type))
    # one each: a worker goes through the tables one after the other
    migrations = [s.migration([flow], name=name, chunk_bytes="128kB", snapshot_max_age="1s", jobs=1)
                  for flow, name in zip(FLOWS, ("doc", "pair", "gone", "log"))]
    with held_copy(s, migrations):
        for statements in MOVES:
            for statement in statements.split("; "):
                s.source.run(statement)
        waiting = [threading.Thread(target=run_all, args=(s.source, statements), daemon=True)
                   for statements in (EMPTIED, RETYPED)]
        for thread in waiting:
            thread.start()
    for thread in waiting:
        thread.join()
    with s.writers([DOC, PAIR, GONE], count=2, rate=50) as writers:
        until(lambda: "event=reread.open" in migrations[0].log_text(), "a row is read again", 30,
              alive=migrations[0].must_run)
        migrations[0].kill9()
        migrations[0].start()
        for migration in migrations:
            migration.wait_for("lag-zero")
        writers.stop()
    for migration in migrations:
        drain(migration)
        must_equal(migration)
    generations = s.target.rows("SELECT relation, count(DISTINCT lg) FROM pgcrossfade.chunk_copied GROUP BY 1")
    reread = s.target.value("SELECT count(*) FROM pgcrossfade.reread")
    print(f"generations {generations}, {reread} rows read again")
    if min(count for _, count in generations) < 2 or reread < 8:
        raise Failed("too few: the test shows nothing")
