"""One table feeds three: two halves by columns, one by a filter."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.account (
    id int PRIMARY KEY, owner text, email text, balance int, frozen boolean, settings jsonb);
INSERT INTO public.account
SELECT i, 'owner ' || i, 'o' || i || '@example.org', i * 3, i % 10 = 0, '{"a": [1, 2]}'
FROM generate_series(1, 20000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.owner (account_id bigint PRIMARY KEY, name text, email text);
CREATE TABLE app.balance (account_id bigint PRIMARY KEY, amount int, settings jsonb);
CREATE TABLE app.frozen (account_id bigint PRIMARY KEY, amount int);
"""

FLOWS = [
    Flow("public.account", "app.owner", key=("account_id",), select="""
        SELECT id::bigint AS account_id, owner AS name, lower(email) AS email FROM old
    """),
    Flow("public.account", "app.balance", key=("account_id",), select="""
        SELECT id::bigint AS account_id, balance AS amount, settings FROM old
    """),
    Flow("public.account", "app.frozen", key=("account_id",), select="""
        SELECT id::bigint AS account_id, balance AS amount FROM old WHERE frozen
    """),
]

ACCOUNT = Table(
    "public.account", {"id": values.up_to(25000)},
    {"owner": values.text, "email": values.maybe(values.text), "balance": values.integer,
     "frozen": values.maybe(values.boolean), "settings": values.maybe(values.document)})


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), [ACCOUNT])
