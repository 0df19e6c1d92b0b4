"""A WHERE lets rows enter and leave the target while they live on at the source."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.orders (
    id int PRIMARY KEY, state "char", deleted_at timestamp, amount int, note text);
INSERT INTO public.orders
SELECT i, CASE i % 3 WHEN 0 THEN 'o' WHEN 1 THEN 'p' END,
       CASE WHEN i % 5 = 0 THEN timestamp '2024-01-01' END, i, repeat('note ', i % 20)
FROM generate_series(1, 30000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.paid_order (order_id bigint PRIMARY KEY, amount int, note text);
"""

# a NULL state makes the condition NULL: such a row is out, too
FLOWS = [Flow("public.orders", "app.paid_order", key=("order_id",), select="""
    SELECT id::bigint AS order_id, amount, note
    FROM old
    WHERE deleted_at IS NULL AND state = 'p'
""")]

ORDERS = Table(
    "public.orders", {"id": values.up_to(2000)},
    {"state": values.one_of("o", "p", None), "amount": values.small,
     "deleted_at": values.maybe(values.timestamp, 0.6), "note": values.text})


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), [ORDERS])
