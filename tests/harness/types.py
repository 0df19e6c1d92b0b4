"""Every built-in type with values that break something, and how to compare them exactly.

By their text and by their binary form, which tells apart what prints alike.
"""
from .flow import Flow
from .processes import Failed

CONTROL = "".join(chr(c) for c in range(1, 32)) + "\x7f\x80\x9f\u2028\u2029\ufeff\U0010ffff"
ALL_BYTES = "\\x" + bytes(range(256)).hex()

TYPES = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "0"],
    "bigint": ["-9223372036854775808", "9223372036854775807", "9007199254740993"],
    "oid": ["4294967295"],
    "text": ["", "a'b\"c\\d\te\nf", "NULL", "\\N", "üñï–🐘", CONTROL, "\\.", "\r\n", "{}", "'", "$1",
             "x" * 3000],
    "varchar(5)": ["", "abcde", "a    "],
    "char(4)": ["ab", "    "],
    '"char"': ["a", "\\377", ""],
    "name": ["some_name", "x" * 63],
    "bytea": ["\\x", "\\x00ff5c27", ALL_BYTES],
    "date": ["infinity", "-infinity", "0044-03-15 BC", "2024-02-29", "5874897-12-31",
             "4713-01-01 BC"],
    "time": ["00:00:00", "24:00:00", "12:34:56.789012"],
    "time(2)": ["12:34:56.78"],
    "timetz": ["12:34:56+05:45", "00:00:00+15:59:59", "24:00:00-15:59:59"],
    "timestamp": ["infinity", "-infinity", "2024-02-29 12:34:56.789012", "0044-03-15 01:02:03 BC",
                  "294276-12-31 23:59:59.999999", "4713-01-01 00:00:00 BC"],
    "timestamptz": ["-infinity", "infinity", "2024-02-29 12:34:56.789012+00",
                    "1883-11-18 12:03:57-05", "294276-12-31 23:59:59.999999+00",
                    "4714-11-24 00:00:00+00 BC"],
    "interval": ["0", "-1 year 2 days -03:04:05.6", "178000000 years", "1 mon -30 days",
                 "-0.000001 sec", "24:00:00"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "json": ['{"b": 1,  "a": [1.50, 1e400, null]}', '"x"', ' {"a" : 1,\n\t"a":2 , "":"\\u0000"} ',
             '"\u2028\\\\\\""'],
    "jsonb": ['{"b": 1, "a": [1.50, null, "\\"\\\\"]}', "null", "123456789012345678901234567890",
              '{"": {"\\n": "\u2028"}}', "1e-300"],
    "jsonpath": ['$."a b"[*] ? (@ > 1.50)'],
    "xml": ["<a b='c'>d</a>", "text & no root".replace("&", "&amp;"), "<!-- c --><a/><b/>"],
    "inet": ["10.0.0.1/8", "::1", "::ffff:1.2.3.4/128", "0.0.0.0/0"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:ff:fe:01:02:03"],
    "bit(3)": ["101"],
    "bit(65)": ["10" * 32 + "1"],
    "varbit": ["", "10101"],
    "money": ["-12.34", "92233720368547758.07", "-92233720368547758.08"],
    "point": ["(1.5,-2)", "(NaN,Infinity)", "(-0,5e-324)"],
    "line": ["{1,-1,0.1}"],
    "lseg": ["[(1,2),(3,4.5)]"],
    "box": ["(2,2),(1,1)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(2,0))"],
    "circle": ["<(1,2),3.25>"],
    "int4range": ["empty", "[1,5)", "(,)"],
    "int8range": ["[-9223372036854775808,9223372036854775807)"],
    "numrange": ["[0.10,0.100]", "(-Infinity,NaN)"],
    "daterange": ["[2024-01-01,infinity)", "[-infinity,)"],
    "tsrange": ["[infinity,infinity]"],
    "tstzrange": ["[2024-01-01 00:00:00+00,)"],
    "int4multirange": ["{}", "{(,0),[5,)}"],
    "int8multirange": ["{[1,3),[5,9)}"],
    "nummultirange": ["{[1.0,1.50],(2,)}"],
    "datemultirange": ["{[2024-01-01,2024-02-01)}"],
    "tsmultirange": ["{[2024-01-01 00:00,2024-02-01 00:00)}"],
    "tstzmultirange": ["{[2024-01-01 00:00:00+00,2024-02-01 00:00:00+00)}"],
    "tsvector": ["'a':1A 'b''c':2", "", "'\\\\ x':16383D"],
    "tsquery": ["'a' & !'b'", "", "'a b':*AB <5> !!'c'''"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF"],
    "txid_snapshot": ["10:20:10,14,15"],
    "pg_snapshot": ["10:20:10,14,15"],
    "xid": ["4294967295"],
    "xid8": ["18446744073709551615"],
    "cid": ["7"],
    "tid": ["(4294967295,65535)"],
    "regclass": ["pg_class", "-", "4294967295"],
    "regtype": ["timestamp with time zone"],
    "regproc": ["pg_catalog.now"],
    "regnamespace": ["pg_catalog"],
    "refcursor": ["a cursor"],
    "oidvector": ["1 2 4294967295"],
    "int2vector": ["-1 2 3"],
    "int[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[2:3]={7,8}", "[-1:0][0:0]={{1},{NULL}}"],
    "text[]": ["{}", '{"",NULL,"NULL","a,b","{x}","\\"q\\"","\\\\"}', '{{a,NULL},{"\n","\u2028"}}'],
    "bytea[]": ['{"\\\\x00","\\\\xff"}'],
    "timestamptz[]": ['{infinity,"2024-02-29 12:34:56.789012+00",NULL}'],
    "jsonb[]": ['{"{\\"a\\": 1}",NULL}'],
    "numrange[]": ['{"[1.0,2.50)",empty}'],
    "point[]": ['{"(1,2)","(NaN,-0)"}'],
    "box[]": ["{(2,2),(1,1);(4,4),(3,3)}"],
    "public.mood": ["sad", "it's fine"],
    "public.pair": ['(1,"a,b")', "(,)", '(2,"""q"" \\\\ (x)")'],
    'public."An ""odd"" one"': ["100", "0"],
    "public.mood[]": ['{sad,"it\'s fine"}'],
    "public.pair[]": ['{"(1,\\"a,b\\")",NULL}'],
    "public.words": ['{"a b",NULL}'],
}

# wal2json before 2.6 writes NaN and infinity of these as null: check refuses them with it
FLOATS = {
    "real": ["NaN", "Infinity", "-0", "1e-40", "3.4028235e+38", "1.17549435e-38"],
    "double precision": ["NaN", "-Infinity", "-0", "5e-324", "0.1", "1.7976931348623157e+308",
                         "2.2250738585072014e-308", "0.30000000000000004"],
    "numeric": ["NaN", "Infinity", "-Infinity", "0.000", "1e-50", "1e1000",
                "123456789012345678901234567890.1234567890"],
    "numeric(10,2)": ["NaN", "-12345678.90"],
    "real[]": ["{NaN,NULL,-Infinity}"],
    "numeric[]": ["{NaN,NULL,1.500}"],
}

OWN_TYPES = """
CREATE TYPE public.mood AS ENUM ('sad', 'it''s fine');
CREATE TYPE public.pair AS (a int, b text);
CREATE DOMAIN public."An ""odd"" one" AS int CHECK (value BETWEEN 0 AND 100);
CREATE DOMAIN public.words AS text[];
"""

# binary forms of these hold oids of types, which are another database's own
OIDS_INSIDE = ("public.mood[]", "public.pair[]")


def types_for(decoder):
    return TYPES if decoder == "wal2json" else {**TYPES, **FLOATS}


def columns(types):
    return {f"c{i}": name for i, name in enumerate(types)}


def create(table, types):
    listed = ", ".join(f"{column} {name}" for column, name in columns(types).items())
    return f"CREATE TABLE {table} (id int PRIMARY KEY, {listed})"


def fill(database, types, first):
    """Row after row, the next value of each column; the last row is all NULL."""
    rows = max(len(choices) for choices in types.values()) + 1
    for row in range(rows):
        chosen = [choices[row % len(choices)] if row < rows - 1 else None
                  for choices in types.values()]
        database.run(
            f"INSERT INTO public.wide VALUES ({first + row}{', %s' * len(chosen)})", chosen)
    return rows


def flow(types):
    names = ", ".join(columns(types))
    return Flow("public.wide", "app.wide", key=("id",), select=f"SELECT id, {names} FROM old")


def update_all(database, types, rows):
    """Every value once more, by an update of its column; then half of the keys move."""
    for column in columns(types):
        database.run(f"UPDATE public.wide a SET {column} = b.{column} FROM public.wide b"
                     f" WHERE a.id <= {rows} AND b.id = a.id % {rows} + 1")
    database.run("UPDATE public.wide SET id = id + 10000 WHERE id % 2 = 0")


def binary(database, table, column, name):
    """The values as the type's send function writes them, by id."""
    send = database.value("SELECT typsend::oid::regproc::text FROM pg_type"
                          " WHERE oid = %s::regtype", [name])
    if name == "refcursor":  # has text's function, and no cast that would be used by itself
        column += "::text"
    return database.rows(f"SELECT id, md5({send}({column})) FROM {table} ORDER BY id")


def must_equal_binary(source, target, types):
    for column, name in columns(types).items():
        if name in OIDS_INSIDE:
            continue
        old = binary(source, "public.wide", column, name)
        new = binary(target, "app.wide", column, name)
        if old != new:
            ids = [a[0] for a, b in zip(old, new) if a != b]
            raise Failed(f"{name}: another binary form in rows {ids[:5]}, or rows missing")
