"""What the copy carries in binary arrives as an INSERT ... SELECT would have stored it.

Both places of the SELECT (source; target, after a temporary table), values at their types'
edges, and targets that round or pad. And what has no binary form that is the same everywhere
goes as text, with the same result.
"""
import io

from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed

DECODER_MATTERS = False

TYPES = """
    id int PRIMARY KEY, b bool, by bytea, c "char", nm name, i8 bigint, i2 smallint, i4 int, t text,
    o oid, js json, ci cidr, f4 real, f8 double precision, m8 macaddr8, ma macaddr, ip inet,
    n numeric, bp char(7), vc varchar(9), d date, ti time, ts timestamp, tz timestamptz,
    tiz timetz, bi bit(5), vb varbit, u uuid, jb jsonb,
    ab bool[], aby bytea[], ai2 smallint[], ai4 int[], at text[], abp char(3)[], avc varchar(4)[],
    ai8 bigint[], af4 real[], af8 double precision[], ats timestamp[], ad date[],
    atz timestamptz[], an numeric[], au uuid[], aj jsonb[]
"""

OLD = f"""
CREATE TABLE public.typed ({TYPES});
INSERT INTO public.typed VALUES (1, true, '\\x00ff5c0a0d09', '~', 'ä name', 9223372036854775807, -32768,
    -2147483648, E'tab\\t nl\\n cr\\r back\\\\slash \\u2028 \\\\N', 4294967295, '{{"a" : [1.0,  1e400]}}',
    '10.1.0.0/16', '-0', '-0', '08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03', '::ffff:1.2.3.4/120',
    '-123456789012345678901234567890.00100', 'ab', 'nine char', '4713-01-01 BC', '24:00:00',
    '294276-12-31 23:59:59.999999', 'infinity', '23:59:60-15:59', B'10101', B'', md5('')::uuid,
    '{{"k": 1.50, "z": null, "a": "\\u00e4"}}',
    '[2:3]={{t,NULL}}', '{{"\\\\x00",NULL}}', '{{}}', '{{{{1,2}},{{3,NULL}}}}', E'{{"",NULL,"NULL","a\\\\"b"}}',
    '{{a,abc}}', '{{abcd,NULL}}', '{{1}}', '{{NaN,-Infinity,1.17549435e-38}}', '{{NaN,4.9e-324,-0}}',
    '{{-infinity,infinity}}', '{{infinity,5874897-12-31}}', '{{-infinity}}',
    '{{NaN,Infinity,-Infinity,0.000,1e1000}}', ARRAY[md5('x')::uuid], ARRAY['1'::jsonb, NULL, 'null']);
INSERT INTO public.typed (id, f4, f8, n, d, ts, tz, t, vb, ip) VALUES
    (2, 'NaN', 'NaN', 'NaN', 'infinity', '-infinity', '-infinity', '', B'1', '1.2.3.4'),
    (3, '-Infinity', 'Infinity', 'Infinity', '-infinity', 'infinity', '4714-11-24 00:00:00+00 BC', NULL, NULL, NULL),
    (4, '3.4028235e38', '5e-324', '-Infinity', '5874897-12-31', '2000-01-01', '2000-01-01', ' ', NULL, NULL),
    (5, '1e-45', '1.7976931348623157e308', '0.00000', NULL, NULL, NULL, repeat('long ', 100000), NULL, NULL);
INSERT INTO public.typed (id, n, t) SELECT i, i / 7.0, md5(i::text) FROM generate_series(6, 3000) i;
CREATE TABLE public.edges (id int PRIMARY KEY, n numeric, s varchar, ts timestamp, f float8, i bigint);
INSERT INTO public.edges SELECT i, (i - 50) * 0.125, 'ab' || repeat(' ', i), timestamp '2020-01-01 00:00:00.5' +
    i * interval '1 s', (i - 50) * 0.5, i - 50 FROM generate_series(1, 100) i;
CREATE TYPE public.mood AS ENUM ('sad', 'glad');
CREATE TABLE public.plain (id int PRIMARY KEY, every interval, kind regtype, span int4range);
INSERT INTO public.plain VALUES (1, '-1 mon 3 days -04:05:06.7', 'int4', '[1,9)'), (2, NULL, 'text', 'empty');
"""

EDGES = "CREATE TABLE {}.edges (id bigint PRIMARY KEY, n numeric(9,1), s char(5), ts timestamp(0), f int, i smallint);"
PLAIN = "CREATE TABLE {}.plain (id int PRIMARY KEY, every interval, kind regtype, span int4range);"

SEES = "CREATE FUNCTION {}.same(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';"

EVERY = "SELECT * FROM old"
STAGED = """SELECT app.same(id) AS id, b, by, c, nm, i8, i2, i4, t, o, js, ci, f4, f8, m8, ma, ip, n, bp, vc, d,
    ti, ts, tz, tiz, bi, vb, u, jb, ab, aby, ai2, ai4, at, abp, avc, ai8, af4, af8, ats, ad, atz, an, au, aj FROM old"""

FLOWS = [
    Flow("public.typed", "app.typed", key=("id",), select=STAGED.replace("app.same(id) AS id", "id")),
    Flow("public.typed", "app.staged", key=("id",), select=STAGED),
    Flow("public.edges", "app.edges", key=("id",), select="SELECT id, n, s, ts, f, i FROM old"),
    Flow("public.plain", "app.plain", key=("id",), select="SELECT id, every, kind, span FROM old"),
]

WAYS = {"app.typed": "at the source, in binary", "app.staged": "at the target, in binary",
        "app.edges": ", in binary", "app.plain": "at the source, as text"}


def binary(database, table):
    """The table's rows as COPY in binary shows them: bit for bit."""
    out = io.BytesIO()
    connection = database.connect(autocommit=True)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT (FORMAT binary)", out)
    connection.close()
    return out.getvalue()


def scenario(s):
    s.source.run(OLD)
    s.source.run("CREATE SCHEMA app;" + SEES.format("app"))
    s.target.run("CREATE SCHEMA app;" + SEES.format("app") +
                 f"CREATE TABLE app.typed ({TYPES}); CREATE TABLE app.staged ({TYPES});" +
                 EDGES.format("app") + PLAIN.format("app"))
    # what an INSERT ... SELECT stores
    s.source.run(f"CREATE TABLE app.typed ({TYPES});" + EDGES.format("app") + PLAIN.format("app"))
    s.source.run("INSERT INTO app.typed SELECT * FROM public.typed;"
                 "INSERT INTO app.edges SELECT id, n, s, ts, f, i FROM public.edges;"
                 "INSERT INTO app.plain SELECT * FROM public.plain")

    migration = s.migration(FLOWS)
    check = migration.check()
    for target, way in WAYS.items():
        lines = [one for one in check.text.splitlines() if f"-> {target}" in one]
        if not any(way in line for line in lines):
            raise Failed(f"{target}: want '{way}' in {lines or check.text}")
    migration.start()
    migration.wait_for("lag-zero")
    for table in ("app.typed", "app.edges", "app.plain"):
        if binary(s.source, table) != binary(s.target, table):
            raise Failed(f"{table} differs from what INSERT ... SELECT stores")
    if binary(s.source, "app.typed") != binary(s.target, "app.staged"):
        raise Failed("app.staged differs from what INSERT ... SELECT stores")
    for table in ("typed", "staged", "edges", "plain"):
        known = s.target.value("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", (f"app.{table}",))
        if known != s.target.value(f"SELECT count(*) FROM app.{table}"):
            raise Failed(f"app.{table} is not analyzed: reltuples {known}")
    migration.terminate()
    migration.command("abort")

    # too long for its column: an error, as it is for an INSERT, not a value cut off
    s.source.run("UPDATE public.edges SET s = 'abcdef' WHERE id = 50")
    migration.start()
    migration.ended(EXIT_CONFLICT)
    if "too long" not in migration.log_text():
        raise Failed(f"no word of the value that is too long:\n{migration.log_text()}")
