"""Keys of several columns, of uuid, of text in another collation, by a unique index."""
import uuid

from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.line (
    orders int, position smallint, item text, PRIMARY KEY (orders, position));
INSERT INTO public.line
SELECT i / 5, i % 5, 'item ' || i FROM generate_series(1, 20000) i;

CREATE TABLE public.token (token uuid PRIMARY KEY, owner text);
INSERT INTO public.token
SELECT md5(i::text)::uuid, 'owner ' || i FROM generate_series(1, 20000) i;

CREATE TABLE public.country (code text COLLATE "C" PRIMARY KEY, name text);
INSERT INTO public.country
SELECT 'c' || i, 'name ' || i FROM generate_series(1, 5000) i;

CREATE TABLE public.login (number int NOT NULL, name text, UNIQUE (number));
ALTER TABLE public.login REPLICA IDENTITY USING INDEX login_number_key;
INSERT INTO public.login SELECT i, 'login ' || i FROM generate_series(1, 5000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.line (
    order_id bigint, position int, item text, PRIMARY KEY (position, order_id));
CREATE TABLE app.token (token uuid PRIMARY KEY, owner text);
CREATE TABLE app.country (code text PRIMARY KEY, name text);
CREATE TABLE app.login (number bigint PRIMARY KEY, name text);
"""

FLOWS = [
    Flow("public.line", "app.line", key=("position", "order_id"), select="""
        SELECT orders::bigint AS order_id, position::int + 1 AS position, item FROM old
    """),
    Flow("public.token", "app.token", key=("token",), select="SELECT token, owner FROM old"),
    Flow("public.country", "app.country", key=("code",), select="""
        SELECT 'x-' || code AS code, name FROM old
    """),
    Flow("public.login", "app.login", key=("number",), select="""
        SELECT number::bigint AS number, name FROM old
    """),
]


def some_uuid(rng):
    return str(uuid.UUID(int=rng.randrange(3000) << 100))


def code(rng):
    return rng.choice([f"c{rng.randrange(6000)}", values.text(rng)])


TABLES = [
    Table("public.line", {"orders": values.up_to(4000), "position": values.up_to(5)},
          {"item": values.maybe(values.text)}),
    Table("public.token", {"token": some_uuid}, {"owner": values.text}),
    Table("public.country", {"code": code}, {"name": values.text}),
    Table("public.login", {"number": values.up_to(6000)}, {"name": values.maybe(values.text)}),
]


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), TABLES)
