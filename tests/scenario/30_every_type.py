"""One column of every type comes through bit by bit, NULL and odd values included.

Through the copy and through the stream, by insert, update and moves of the key. With
wal2json no float and no numeric: it writes NaN and infinity as null, so that check refuses
such columns.
"""
from harness import types
from harness.compare import must_equal
from harness.drain import drain
from harness.migration import EXIT_CHECK
from harness.processes import Failed

# a long value that is stored out of line and not compressed, by its md5
LONG = "INSERT INTO public.long SELECT {id}, string_agg(md5(i::text), '') FROM" \
       " generate_series(1, 131072) i"
LONGS = "SELECT id, length(body), md5(body) FROM {table} ORDER BY id"


def both_equal(s, migration, chosen):
    must_equal(migration)
    types.must_equal_binary(s.source, s.target, chosen)
    if s.source.rows(LONGS.format(table="public.long")) != \
            s.target.rows(LONGS.format(table="app.long")):
        raise Failed("the long values differ")


def floats_are_refused(s):
    """Each column by its name, before anything is made."""
    s.source.run("CREATE TABLE public.floats (id int PRIMARY KEY, r real, d float8, n numeric)")
    s.target.run("CREATE TABLE app.floats (id int PRIMARY KEY, r real, d float8, n numeric)")
    migration = s.migration([types.Flow("public.floats", "app.floats", key=("id",),
                                        select="SELECT id, r, d, n FROM old")], name="floats")
    said = migration.check(expect=EXIT_CHECK).text
    for column in ("r", "d", "n"):
        if f'column "{column}"' not in said:
            raise Failed(f"check does not name column {column}:\n{said}")


def scenario(s):
    chosen = types.types_for(s.decoder)
    s.source.run(types.OWN_TYPES + types.create("public.wide", chosen))
    s.target.run(types.OWN_TYPES + "CREATE SCHEMA app;" + types.create("app.wide", chosen))
    s.source.run("CREATE TABLE public.long (id int PRIMARY KEY, body text)")
    s.target.run("CREATE TABLE app.long (id int PRIMARY KEY, body text)")
    if s.decoder == "wal2json":
        floats_are_refused(s)
    rows = types.fill(s.source, chosen, 1)
    s.source.run(LONG.format(id=1))
    long = types.Flow("public.long", "app.long", key=("id",), select="SELECT id, body FROM old")
    migration = s.migration([types.flow(chosen), long])
    migration.start()
    migration.wait_for("lag-zero")
    both_equal(s, migration, chosen)

    types.fill(s.source, chosen, 1001)
    types.update_all(s.source, chosen, rows)
    s.source.run(LONG.format(id=2))
    s.source.run("UPDATE public.long SET id = id + 10")
    drain(migration)
    both_equal(s, migration, chosen)
    if s.target.value("SELECT count(*) FROM app.wide") != 2 * rows:
        raise Failed("rows are missing")
