"""One transaction of many changes, with others committed meanwhile and after it."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.item (id int PRIMARY KEY, price int, label text);
INSERT INTO public.item SELECT i, i, 'label ' || i FROM generate_series(1, 20000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.item (id bigint PRIMARY KEY, price bigint, label text);
"""

FLOWS = [Flow("public.item", "app.item", key=("id",), select="""
    SELECT id::bigint AS id, price::bigint AS price, label FROM old
""")]

ITEM = Table("public.item", {"id": lambda rng: rng.randrange(30001, 32000)},
             {"price": values.small, "label": values.text})


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
    with s.writers([ITEM], count=2) as writers, s.source.connect() as connection:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE public.item SET price = price * 2 WHERE id <= 20000")
            writers.more(50)
            cursor.execute("INSERT INTO public.item SELECT i, i, repeat('x', 200)"
                           " FROM generate_series(100001, 150000) i")
            cursor.execute("DELETE FROM public.item WHERE id % 3 = 0 AND id > 100000")
            cursor.execute("UPDATE public.item SET id = id + 1000000 WHERE id % 7 = 0"
                           " AND id > 100000")
            writers.more(50)
            connection.commit()
        writers.more(50)
        writers.stop()
    connection.close()
    drain(migration)
    must_equal(migration)
