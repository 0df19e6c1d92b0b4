"""One row makes many: from an array, from jsonb, from a series; with and without a key."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed
from harness.writers import Table

OLD = """
CREATE TABLE public.post (id int PRIMARY KEY, author int, tags text[], views int);
CREATE TABLE public.invoice (id int PRIMARY KEY, customer int, lines jsonb, open boolean);
ALTER TABLE public.invoice REPLICA IDENTITY FULL;
CREATE TABLE public.span (id int PRIMARY KEY, first int, days int);
INSERT INTO public.post
SELECT i, i % 50, (SELECT array_agg('tag ' || i % 7 || '-' || j) FROM generate_series(1, i % 5) j),
       i FROM generate_series(1, 6000) i;
INSERT INTO public.invoice
SELECT i, i % 90, (SELECT jsonb_agg(jsonb_build_object('line', i * 100 + j, 'price', j))
                     FROM generate_series(1, i % 4) j), i % 3 <> 0 FROM generate_series(1, 6000) i;
INSERT INTO public.span SELECT i, i, i % 4 FROM generate_series(1, 4000) i;
"""

# app.tag has a column of its own, which must outlive changes of its row
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.tag (
    post_id bigint, place int, tag text, author int, mine int DEFAULT 0,
    PRIMARY KEY (post_id, place));
CREATE TABLE app.line (
    line_id bigint PRIMARY KEY, invoice_id bigint NOT NULL, customer int, price numeric(10, 2),
    place int, surrogate int GENERATED ALWAYS AS IDENTITY UNIQUE);
CREATE INDEX ON app.line (invoice_id);
CREATE TABLE app.day (span_id bigint NOT NULL, day int);
CREATE INDEX ON app.day (span_id);
"""

FLOWS = [
    Flow("public.post", "app.tag", key=("post_id", "place"), owner=("post_id",), select="""
        SELECT p.id::bigint AS post_id, t.place::int AS place, t.tag, p.author
        FROM old p CROSS JOIN LATERAL unnest(p.tags) WITH ORDINALITY AS t(tag, place)
    """),
    # the key does not hold the owner: a line may go from one invoice to another
    Flow("public.invoice", "app.line", key=("line_id",), owner=("invoice_id",), select="""
        SELECT (l.value->>'line')::bigint AS line_id, id::bigint AS invoice_id, customer,
               (l.value->>'price')::numeric AS price, l.ordinality::int AS place
        FROM old, jsonb_array_elements(lines) WITH ORDINALITY AS l
        WHERE open AND l.value->>'price' <> '3'
    """),
    Flow("public.span", "app.day", owner=("span_id",), select="""
        SELECT id::bigint AS span_id, d AS day
        FROM old LEFT JOIN LATERAL generate_series(first, first + days - 1) d ON true
    """),
]


def tags(rng):
    return [rng.choice([values.text(rng), None, "long " * rng.choice([1, 1000])
                        + values.text(rng)]) for _ in range(rng.randrange(5))]


POST = Table("public.post", {"id": values.up_to(7000)},
             {"author": values.small, "tags": values.maybe(tags), "views": values.small})
SPAN = Table("public.span", {"id": values.up_to(5000)},
             {"first": values.maybe(values.small), "days": values.up_to(6)})


class Invoice(Table):
    """Lines are named after their invoice, but for some that wander from one to the next."""

    def change(self, cursor, rng):
        if rng.random() < 0.3:
            return self.wander(cursor, rng)
        return super().change(cursor, rng)

    def wander(self, cursor, rng):
        one = rng.randrange(1, 7000)
        cursor.execute("""
            WITH one AS (SELECT lines FROM public.invoice WHERE id = %s AND open
                            AND jsonb_array_length(lines) > 0),
                 other AS (UPDATE public.invoice SET lines = lines || (SELECT lines->0 FROM one)
                            WHERE id = %s AND open AND EXISTS (SELECT FROM one) RETURNING 1)
            UPDATE public.invoice SET lines = lines - 0
             WHERE id = %s AND open AND EXISTS (SELECT FROM other)""", [one, one + 1, one])

    def insert(self, cursor, rng, key):
        lines = f"""[{', '.join(f'{{"line": {key["id"] * 100 + i + 50}, "price": {i}}}'
                               for i in range(rng.randrange(4)))}]"""
        cursor.execute("INSERT INTO public.invoice SELECT %s, %s, %s, true"
                       " WHERE NOT EXISTS (SELECT FROM public.invoice WHERE id BETWEEN %s AND %s)"
                       " ON CONFLICT DO NOTHING",
                       [key["id"], rng.randrange(90), lines, key["id"], key["id"] + 3000])


INVOICE = Invoice("public.invoice", {"id": values.up_to(7000)},
                  {"customer": values.small, "open": values.boolean},
                  changes=("insert", "update", "delete"))

LONG = "(SELECT array_agg(md5(i || 'x' || %s)) FROM generate_series(1, 200) i)"


def unchanged_array(s, migration):
    """An array that is stored out of line and not sent again: its rows stay as they are."""
    s.source.run("INSERT INTO public.post SELECT 90000, 1, " + LONG % 1 + ", 0;"
                 "INSERT INTO public.post SELECT 90002, 1, " + LONG % 2 + ", 0")
    drain(migration)
    s.target.run("UPDATE app.tag SET mine = place WHERE post_id IN (90000, 90002)")
    s.source.run("UPDATE public.post SET author = 7 WHERE id = 90000;"
                 "UPDATE public.post SET id = 90001, author = 8 WHERE id = 90002;"
                 "UPDATE public.post SET views = 5 WHERE id = 90001")
    drain(migration)
    must_equal(migration)
    kept = s.target.rows("SELECT post_id, author, count(*), sum(mine) FROM app.tag"
                         " WHERE post_id IN (90000, 90001) GROUP BY 1, 2 ORDER BY 1")
    if kept != [(90000, 7, 200, 20100), (90001, 8, 200, 20100)]:
        raise Failed(f"rows did not stay: {kept}")


def rows_that_stay(s, migration):
    """Of an owner's rows those that the new row still brings keep what no flow fills."""
    s.source.run("INSERT INTO public.post VALUES (91000, 1, '{a,b,c}', 0)")
    drain(migration)
    s.target.run("UPDATE app.tag SET mine = 5 WHERE post_id = 91000")
    s.source.run("UPDATE public.post SET tags = '{x,b}' WHERE id = 91000")
    drain(migration)
    found = s.target.rows("SELECT place, tag, mine FROM app.tag WHERE post_id = 91000 ORDER BY 1")
    if found != [(1, "x", 5), (2, "b", 5)]:
        raise Failed(f"rows that stay lost something: {found}")
    s.source.run("DELETE FROM public.post WHERE id = 91000")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    s.follow(migration, [POST, INVOICE, SPAN])
    unchanged_array(s, migration)
    rows_that_stay(s, migration)
    s.source.run("TRUNCATE public.post; INSERT INTO public.post VALUES (1, 1, '{a}', 1)")
    drain(migration)
    must_equal(migration)
    if "exact" in migration.log_text():
        print("some batches went in exact order")
