"""The new key is in a table that says which old one it stands for: int becomes uuid.

One mapping the user has filled before; rows that it does not have are left out. The other a
lookup fills, with the uuid that its column gives by default.
"""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed
from harness.writers import Table

OLD = """
CREATE TABLE public.client (id int PRIMARY KEY, name text, letter text, visits int);
ALTER TABLE public.client ALTER letter SET STORAGE EXTERNAL;
-- a row that comes into the mapping by a move of its key must bring its letter
ALTER TABLE public.client REPLICA IDENTITY FULL;
CREATE TABLE public.purchase (id int PRIMARY KEY, client int, lines int[], price int);
ALTER TABLE public.purchase REPLICA IDENTITY FULL;
INSERT INTO public.client
SELECT i, 'n' || i, CASE WHEN i % 10 = 0 THEN repeat(md5(i::text), 80) END, i
  FROM generate_series(1, 5000) i;
INSERT INTO public.purchase
SELECT i, i % 6000, ARRAY[i % 7, 10 + i % 5], i FROM generate_series(1, 5000) i;
"""

# app.client.mine is filled by no flow; 1 to 5500 and some more are in the user's mapping
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.client_map (old_id int PRIMARY KEY, id uuid NOT NULL UNIQUE);
INSERT INTO app.client_map
SELECT i, md5('client ' || i)::uuid FROM generate_series(1, 9000) i WHERE i <= 5500 OR i % 2 = 0;
CREATE TABLE app.purchase_map (
    old_id int PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE app.client (id uuid PRIMARY KEY, name text, letter text, mine text);
CREATE TABLE app.purchase (id uuid PRIMARY KEY, client_id uuid, price bigint);
CREATE INDEX ON app.purchase (client_id);
CREATE TABLE app.line (purchase_id uuid, place int, amount int, PRIMARY KEY (purchase_id, place));
"""

FLOWS = [
    Flow("public.client", "app.client", key=("id",), at_target=True, select="""
        SELECT m.id AS id, o.name, o.letter FROM old o JOIN app.client_map m ON m.old_id = o.id
    """),
    Flow("public.purchase", "app.purchase", key=("id",), at_target=True, select="""
        SELECT m.id AS id, c.id AS client_id, o.price::bigint AS price
        FROM old o JOIN app.purchase_map AS m ON m.old_id = o.id
             LEFT JOIN app.client_map AS c ON c.old_id = o.client
        WHERE o.price > 10
    """),
    Flow("public.purchase", "app.line", key=("purchase_id", "place"), owner=("purchase_id",),
         at_target=True, select="""
        SELECT m.id AS purchase_id, l.place::int AS place, l.amount
        FROM old o JOIN app.purchase_map AS m ON m.old_id = o.id
             CROSS JOIN LATERAL unnest(o.lines) WITH ORDINALITY AS l(amount, place)
    """),
    Flow("public.purchase", "app.purchase_map", key=("old_id",), lookup=True,
         select="SELECT DISTINCT id AS old_id FROM old"),
]


def lines(rng):
    return [rng.randrange(100) for _ in range(rng.randrange(5))]


TABLES = [
    Table("public.client", {"id": values.up_to(9000)},
          {"name": values.text, "letter": values.maybe(values.long_text), "visits": values.small}),
    Table("public.purchase", {"id": values.up_to(7000)},
          {"client": values.maybe(values.up_to(9000)), "lines": values.maybe(lines),
           "price": values.small}),
]

# The other way round than the flow's SELECT: from the new row back to the old one.
BACK = {
    "SELECT id, name, letter FROM public.client WHERE id <= 5500 OR id % 2 = 0": """
        SELECT m.old_id, c.name, c.letter FROM app.client c JOIN app.client_map m USING (id)""",
    """SELECT id, CASE WHEN client <= 5500 OR client % 2 = 0 THEN client END, price
         FROM public.purchase WHERE price > 10""": """
        SELECT m.old_id, c.old_id, p.price FROM app.purchase p
        JOIN app.purchase_map m USING (id) LEFT JOIN app.client_map c ON c.id = p.client_id""",
    "SELECT id, n, amount FROM public.purchase, unnest(lines) WITH ORDINALITY l(amount, n)": """
        SELECT m.old_id, l.place, l.amount FROM app.line l
        JOIN app.purchase_map m ON m.id = l.purchase_id""",
}


def must_lead_back(s):
    for old, new in BACK.items():
        want, got = sorted(map(str, s.source.rows(old))), sorted(map(str, s.target.rows(new)))
        if want != got:
            raise Failed(f"{old}: {len(want)} rows, at the target {len(got)};"
                         f" lost {sorted(set(want) - set(got))[:3]},"
                         f" more {sorted(set(got) - set(want))[:3]}")


def purchase_map(s):
    return dict(s.target.rows("SELECT old_id, id FROM app.purchase_map"))


def one_by_one(s, migration):
    """The same old key has the same new one, also when its row comes back."""
    s.source.run("INSERT INTO public.purchase VALUES (20000, 1, '{1,2,3}', 50);"
                 "INSERT INTO public.client VALUES (8888, 'a', repeat('long', 2000), 1)"
                 " ON CONFLICT (id) DO UPDATE SET name = 'a', letter = excluded.letter;"
                 "DELETE FROM public.client WHERE id = 7000")
    drain(migration)
    s.target.run("UPDATE app.client SET mine = 'kept' WHERE id = md5('client 8888')::uuid")
    before = purchase_map(s)
    s.source.run("UPDATE public.purchase SET id = 20001, lines = '{7}' WHERE id = 20000;"
                 "UPDATE public.client SET id = 7000, name = 'b' WHERE id = 8888")
    drain(migration)
    found = s.target.rows("SELECT old_id, name, length(letter), mine FROM app.client"
                          " JOIN app.client_map USING (id) WHERE old_id IN (7000, 8888)")
    if found != [(7000, "b", 8000, "kept")]:
        raise Failed(f"the moved client: {found}")
    s.source.run("UPDATE public.purchase SET id = 20000 WHERE id = 20001;"
                 "UPDATE public.client SET id = 9501 WHERE id = 7000")  # not in the mapping
    drain(migration)
    must_equal(migration)
    must_lead_back(s)
    after = purchase_map(s)
    if after != {**before, 20001: after.get(20001)} or after[20001] is None:
        raise Failed("purchases changed their new keys")
    if s.target.value("SELECT count(*) FROM app.line WHERE purchase_id = %s", [before[20000]]) != 1:
        raise Failed("a purchase that came back has other lines than it had")
    if s.target.value("SELECT count(*) FROM app.client WHERE id = md5('client 7000')::uuid"):
        raise Failed("a client without mapping is still there")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    mapping = s.target.rows("SELECT * FROM app.client_map ORDER BY 1")
    migration = s.migration(FLOWS, chunk_bytes="64kB")
    s.follow(migration, TABLES)
    must_lead_back(s)
    one_by_one(s, migration)
    s.source.run("DELETE FROM public.client WHERE id % 3 = 0; TRUNCATE public.purchase;"
                 "INSERT INTO public.purchase VALUES (1, 1, '{5}', 100), (30000, 2, '{6}', 100)")
    drain(migration)
    must_equal(migration)
    must_lead_back(s)
    if s.target.rows("SELECT * FROM app.client_map ORDER BY 1") != mapping:
        raise Failed("the user's mapping was written")
