"""Databases and roles whose settings change how values are written: none reaches the data."""
from harness import settings, types, values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.writers import Table

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


def every_type(s, source, target):
    """Bit by bit, as in 30_every_type."""
    chosen = types.types_for(s.decoder)
    s.source.run(types.OWN_TYPES + types.create("public.wide", chosen))
    s.target.run(types.OWN_TYPES + types.create("app.wide", chosen))
    rows = types.fill(s.source, chosen, 1)
    migration = s.migration([types.flow(chosen)], source=source, target=target, name="types")
    migration.start()
    migration.wait_for("lag-zero")
    types.fill(s.source, chosen, 1001)
    types.update_all(s.source, chosen, rows)
    drain(migration)
    must_equal(migration)
    types.must_equal_binary(s.source, s.target, chosen)
    migration.command("cutover")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    source = settings.Tormented(s.source, settings.HOSTILE)
    target = settings.Tormented(s.target, settings.OTHERS)
    migration = s.migration(FLOWS, source=source, target=target)
    s.follow(migration, [MOMENT])
    migration.command("cutover")
    must_equal(migration)
    every_type(s, source, target)
