"""Databases and roles whose settings change how values are written: none reaches the data."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

SETTINGS = {
    "datestyle": "'German, DMY'", "timezone": "'Asia/Kathmandu'", "bytea_output": "'escape'",
    "intervalstyle": "'sql_standard'", "extra_float_digits": "-3", "search_path": "'trap'",
    "standard_conforming_strings": "off", "default_transaction_read_only": "off",
    "backslash_quote": "on", "statement_timeout": "0", "lc_monetary": "'C'",
    "default_transaction_isolation": "'repeatable read'", "row_security": "on",
    "xmlbinary": "'hex'", "array_nulls": "off", "transform_null_equals": "on",
}

OTHER_SETTINGS = {**SETTINGS, "datestyle": "'SQL, MDY'", "timezone": "'America/Caracas'",
                  "intervalstyle": "'iso_8601'"}

# something in the way of names that are not qualified
TRAP = """
CREATE SCHEMA trap;
CREATE FUNCTION trap.upper(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'trapped' $$;
"""

OLD = """
CREATE TABLE public.moment (
    id int PRIMARY KEY, day date, at timestamptz, local timestamp, span interval, raw bytea,
    label text, many text[]);
INSERT INTO public.moment
SELECT i, date '2001-02-03' + i, timestamptz '2001-02-03 04:05:06+00' + i * interval '1 hour',
       timestamp '2004-05-06 07:08:09.123456', i * interval '1 day 2 hours', decode('00ff', 'hex'),
       'label', ARRAY['a', NULL, 'NULL']
FROM generate_series(1, 5000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.moment (
    id bigint PRIMARY KEY, day date, at timestamptz, local timestamp, span interval, raw bytea,
    label text, many text[]);
"""

FLOWS = [Flow("public.moment", "app.moment", key=("id",), select="""
    SELECT id::bigint AS id, day, at, local, span, raw, upper(label) AS label, many FROM old
""")]

MOMENT = Table(
    "public.moment", {"id": values.up_to(6000)},
    {"day": values.maybe(values.date), "at": values.maybe(values.timestamp),
     "local": values.maybe(values.timestamp), "raw": values.maybe(values.blob),
     "span": values.one_of("1 day -2 hours", "-3 months 4 days", None),
     "label": values.maybe(values.text), "many": values.one_of(["x", None, "null"], [], None)})


def hostile(database, settings):
    database.run(TRAP)
    for name, value in settings.items():
        database.run(f"ALTER DATABASE {database.name} SET {name} = {value}")
        database.run(f"ALTER ROLE postgres IN DATABASE {database.name} SET {name} = {value}")
    database.forget()


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    hostile(s.source, SETTINGS)
    hostile(s.target, OTHER_SETTINGS)
    s.follow(s.migration(FLOWS), [MOMENT])
