"""Schemas, tables and columns whose names need quoting, on both sides."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = '''
CREATE SCHEMA "Alte Daten";
CREATE TABLE "Alte Daten"."Kunde.1" (
    "Kunden-Nr" int PRIMARY KEY, "select" text, "Groß ""Name""" text, "new" int, "it's" text);
INSERT INTO "Alte Daten"."Kunde.1"
SELECT i, 'x' || i, 'y', i % 9, 'it''s' FROM generate_series(1, 20000) i;
'''

NEW = '''
CREATE SCHEMA "app's";
CREATE TABLE "app's"."Order" (
    "ID" bigint PRIMARY KEY, "from" text, "the ""name""" text, "Year 1" int, "$1" text);
'''

FLOWS = [Flow('"Alte Daten"."Kunde.1"', '"app\'s"."Order"', key=('"ID"',), select='''
    SELECT "Kunden-Nr"::bigint AS "ID", "select" AS "from", "Groß ""Name""" AS "the ""name""",
           "new" AS "Year 1", "it's" || ' $2 ''quoted'' %' AS "$1"
    FROM old
    WHERE "new" <> 4
''')]

KUNDE = Table(
    '"Alte Daten"."Kunde.1"', {'"Kunden-Nr"': values.up_to(25000)},
    {'"select"': values.maybe(values.text), '"Groß ""Name"""': values.maybe(values.text),
     '"new"': values.up_to(9), '"it\'s"': values.maybe(values.text)})


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS, name="quoted-names"), [KUNDE])
