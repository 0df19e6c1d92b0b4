"""A transaction that comes in parts and is refused at its end, with rejects.

Who breaks a foreign key, a deferred unique key or a deferred trigger is put aside wherever in the
transaction its change came, with the children and theirs, and nobody else is; kill -9 in between,
a reject too many and a DELETE that nothing can be laid to change nothing of that.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed, until
from harness.rejects import TOO_DEAR, must_be_put_aside, older, rejects

OLD = """
CREATE TABLE public.customer (id int PRIMARY KEY, age text);
CREATE TABLE public.purchase (id int PRIMARY KEY, customer int, place int, price int, note text);
CREATE TABLE public.line (id int PRIMARY KEY, purchase int, above int, note text);
INSERT INTO public.customer SELECT i, '42' FROM generate_series(1, 50) i;
INSERT INTO public.purchase SELECT i, 1 + i % 50, i, 1, 'old' FROM generate_series(1, 300) i;
INSERT INTO public.line SELECT i, 1 + i % 300, NULL, 'line' FROM generate_series(1, 600) i;
"""

# no foreign key at the source: there a parent may be missing
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.customer (id bigint PRIMARY KEY, age int CONSTRAINT young CHECK (age < 150));
CREATE TABLE app.purchase (id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES app.customer,
    place int UNIQUE DEFERRABLE INITIALLY DEFERRED, price int, note text);
CREATE TABLE app.line (id bigint PRIMARY KEY, purchase bigint REFERENCES app.purchase,
    above bigint REFERENCES app.line, note text);
""" + TOO_DEAR

FLOWS = [
    Flow("public.customer", "app.customer", key=("id",), select="""
        SELECT id::bigint AS id, age::int AS age FROM old
    """),
    Flow("public.purchase", "app.purchase", key=("id",), select="""
        SELECT id::bigint AS id, customer::bigint AS customer, place, price, note FROM old
    """),
    Flow("public.line", "app.line", key=("id",), select="""
        SELECT id::bigint AS id, purchase::bigint AS purchase, above::bigint AS above, note FROM old
    """),
]

COLUMNS = {"customer": ("id", "age"), "purchase": ("id", "customer", "place", "price", "note"),
           "line": ("id", "purchase", "above", "note")}

# 16 MB of budget, a sixteenth for a part: this comes in several. Long rows, for each pass writes all one by one
PURCHASES = """
INSERT INTO public.purchase
SELECT i, CASE WHEN i = {first} + 17 OR i = {first} + 883 THEN 700
               WHEN (i - {first}) % 300 = 149 THEN {refused}
               WHEN (i - {first}) % 300 = 1 THEN {late} ELSE 1 + i % 50 END,
       CASE i WHEN {first} + 600 THEN {first} + 20 WHEN {first} + 601 THEN 100 ELSE i END,
       1, repeat('n', 2700)
FROM generate_series({first}, {first} + 899) i"""

AT_ITS_END = "a transaction in parts was refused at its end"


def large_transaction(s, first):
    """A missing customer (700), one that a CHECK refuses, and one that comes last; and more."""
    refused, late = first, first + 1
    with s.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"""
            INSERT INTO public.line VALUES ({first}, {first} + 17, NULL, 'of the missing one''s'),
                ({first} + 1, NULL, {first}, 'below it'), ({first} + 2, 1, {first} + 1, 'lowest'),
                ({first} + 3, {first} + 3, NULL, 'before its parent');
            UPDATE public.purchase SET customer = 701, note = 'older' WHERE id = 5""")
        cursor.execute(PURCHASES.format(first=first, refused=refused, late=late))
        cursor.execute(f"""
            UPDATE public.purchase SET place = 11 WHERE id = 10;
            UPDATE public.purchase SET place = 10 WHERE id = 11;
            UPDATE public.purchase SET place = {first} + 60000 WHERE id = 100;
            UPDATE public.purchase SET price = 2000 WHERE id IN ({first} + 30, {first} + 31);
            UPDATE public.purchase SET price = 20 WHERE id = {first} + 31;
            UPDATE public.purchase SET note = 'twice' WHERE id = {first} + 17;
            UPDATE public.line SET note = 'of 5' WHERE purchase = 5;
            INSERT INTO public.customer VALUES ({late}, '20'), ({refused}, '200');
            INSERT INTO public.line VALUES ({first} + 4, {first} + 149, NULL, 'of a refused one''s')""")
        connection.commit()
    connection.close()


def expected(first):
    """What is put aside of it, as table and id."""
    purchases = [5] + [first + i for i in (17, 30, 149, 449, 600, 749, 883)]
    lines = [first, first + 1, first + 2, first + 4]
    return ([("customer", first)] + [("purchase", i) for i in purchases]
            + [("line", i) for i in lines])


def accounted(migration, wanted, why):
    must_be_put_aside(migration, COLUMNS, wanted, why, 120)


def streamed_again(migration):
    return migration.log_text().count(AT_ITS_END)


def mended(s, migration, first):
    """The source brings who is missing, and lets go of what clashes; retry does the rest."""
    s.source.run(f"""
        INSERT INTO public.customer VALUES (700, '70'), (701, '71') ON CONFLICT DO NOTHING;
        UPDATE public.customer SET age = '20' WHERE id = {first};
        UPDATE public.purchase SET place = id WHERE id = {first} + 600;
        UPDATE public.purchase SET price = 2 WHERE id = {first} + 30""")
    drain(migration)
    migration.command("retry")
    accounted(migration, [], "all is mended")
    must_equal(migration)
    s.source.run("DELETE FROM public.line WHERE id >= 1000; DELETE FROM public.purchase"
                 " WHERE id >= 1000; UPDATE public.purchase SET customer = 6 WHERE id = 5;"
                 "UPDATE public.purchase SET place = 100 WHERE id = 100;"
                 "DELETE FROM public.customer WHERE id >= 700")
    drain(migration)


def put_aside(s, migration):
    large_transaction(s, 10000)
    accounted(migration, expected(10000), "a large transaction")
    if s.target.rows("SELECT customer, note FROM app.purchase WHERE id = 5") != [(6, "old")]:
        raise Failed("the older version is not there")
    if not streamed_again(migration):
        raise Failed("it did not come in parts")
    mended(s, migration, 10000)


def killed(s, migration):
    """What was found is forgotten, and found again."""
    before = streamed_again(migration)
    large_transaction(s, 30000)
    for generation in (2, 3):
        until(lambda: streamed_again(migration) >= before + generation, "streamed again", 60,
              alive=migration.must_run)
        migration.kill9()
        before = streamed_again(migration)
        migration.start()
    accounted(migration, expected(30000), "killed in between")
    mended(s, migration, 30000)


def one_more(s, migration):
    """With too little room the run stops at one row, and nothing of the transaction is there."""
    wanted = expected(50000)
    migration.terminate()
    migration.change(rejects=len(wanted) - 1)
    migration.start()
    large_transaction(s, 50000)
    migration.ended(EXIT_CONFLICT, 120)
    error = migration.status()["error"] or ""
    for text in (f"{len(wanted) - 1} rows are put aside", "app.", "row (id="):
        if text not in error:
            raise Failed(f"the error does not say {text!r}: {error}")
    if rejects(migration) or s.target.value("SELECT count(*) FROM app.purchase WHERE id >= 50000"):
        raise Failed("something of the transaction was applied")
    migration.change(rejects=len(wanted))
    migration.start()
    accounted(migration, wanted, "just enough room")
    mended(s, migration, 50000)


def parent_goes(s, migration):
    """Its child is refused in the same transaction: the target gives up the child's older version."""
    s.source.run("INSERT INTO public.customer VALUES (800, '42');"
                 "INSERT INTO public.purchase VALUES (800, 800, 800, 1, 'old')")
    drain(migration)
    with s.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE public.purchase SET customer = 1, price = 2000 WHERE id = 800;"
                       "DELETE FROM public.customer WHERE id = 800")
        cursor.execute(PURCHASES.format(first=60000, refused=1, late=1))
        connection.commit()
    connection.close()
    lost = [60000 + i for i in (17, 600, 601, 883)]
    accounted(migration, [("purchase", i) for i in [800] + lost], "a child, whose parent goes")
    if older(migration):
        raise Failed(f"older versions: {older(migration)}")
    s.source.run("UPDATE public.purchase SET price = 1 WHERE id = 800;"
                 "DELETE FROM public.purchase WHERE id >= 60000")
    accounted(migration, [], "mended")


def not_to_be_put_aside(s, migration):
    """A DELETE that leaves children behind: beside rows that are put aside it stops the run."""
    with s.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute(PURCHASES.format(first=70000, refused=1, late=1))
        cursor.execute("UPDATE public.purchase SET customer = 4 WHERE customer = 3 AND id >= 70000;"
                       "DELETE FROM public.customer WHERE id = 3")
        connection.commit()
    connection.close()
    migration.ended(EXIT_CONFLICT, 120)
    error = migration.status()["error"] or ""
    for text in ("app.customer", "public.customer", "remove", "still referenced"):
        if text not in error:
            raise Failed(f"the error does not say {text!r}: {error}")
    if rejects(migration):
        raise Failed(f"{rejects(migration)} are put aside")


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS, rejects=30, memory="16MB")
    put_aside(s, migration)
    killed(s, migration)
    one_more(s, migration)
    parent_goes(s, migration)
    not_to_be_put_aside(s, migration)
