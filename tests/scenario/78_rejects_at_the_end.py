"""Constraints that are looked at only when a transaction ends, with rejects.

Foreign keys, a deferred unique key, a deferred trigger: who breaks them at the end of a source
transaction is put aside, and nobody else; what a later change of it mends is no reject.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed
from harness.rejects import TOO_DEAR, must_be_put_aside, older, rejects

OLD = """
CREATE TABLE public.customer (id int PRIMARY KEY, age text, leader int);
CREATE TABLE public.purchase (id int PRIMARY KEY, customer int, place int, price int);
CREATE TABLE public.line (id int PRIMARY KEY, purchase int, note text);
INSERT INTO public.customer SELECT i, CASE WHEN i = 50 THEN '500' ELSE '42' END, 1
  FROM generate_series(1, 50) i;
INSERT INTO public.purchase SELECT i, 1 + i % 50, i, 1 FROM generate_series(1, 300) i;
INSERT INTO public.line SELECT i, 1 + i % 300, 'line' FROM generate_series(1, 600) i;
"""

# no foreign key at the source: there a parent may go before its children, and be missing
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.customer (id bigint PRIMARY KEY, age int CONSTRAINT young CHECK (age < 150),
    leader bigint REFERENCES app.customer);
CREATE TABLE app.purchase (id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES app.customer,
    place int UNIQUE DEFERRABLE INITIALLY DEFERRED, price int);
CREATE TABLE app.line (id bigint PRIMARY KEY, purchase bigint REFERENCES app.purchase, note text);
""" + TOO_DEAR

FLOWS = [
    Flow("public.customer", "app.customer", key=("id",), select="""
        SELECT id::bigint AS id, age::int AS age, leader::bigint AS leader FROM old
    """),
    Flow("public.purchase", "app.purchase", key=("id",), select="""
        SELECT id::bigint AS id, customer::bigint AS customer, place, price FROM old
    """),
    Flow("public.line", "app.line", key=("id",), select="""
        SELECT id::bigint AS id, purchase::bigint AS purchase, note FROM old
    """),
]

COLUMNS = {"customer": ("id", "age", "leader"), "purchase": ("id", "customer", "place", "price"),
           "line": ("id", "purchase", "note")}


def accounted(migration, wanted, why):
    must_be_put_aside(migration, COLUMNS, wanted, why)


def copied(s, migration):
    """A parent that the copy refused: what it copied of its children waits for it."""
    accounted(migration, [("customer", 50)], "after the copy")
    refused = migration.command("cutover", expect=EXIT_BAD)
    for text in ("purchase_customer_fkey of app.purchase waits", "app.customer,app.purchase"):
        if text not in refused.text:
            raise Failed(f"the cutover does not say {text!r}: {refused.text}")
    migration.command("cutover", "--accept-rejects", "app.customer", expect=EXIT_BAD)
    s.source.run("INSERT INTO public.purchase VALUES (400, 50, 400, 1);"
                 "UPDATE public.purchase SET price = 3 WHERE id = 49")
    accounted(migration, [("customer", 50), ("purchase", 400)], "one child more")
    migration.kill9()
    migration.start()
    older_beside_it(s, migration)
    s.source.run("UPDATE public.customer SET age = '50' WHERE id = 50")
    drain(migration)
    migration.command("retry")
    accounted(migration, [], "the parent is mended")
    if s.target.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"
                      " AND connamespace = 'app'::regnamespace") != 3:
        raise Failed("a foreign key is not validated")


def older_beside_it(s, migration):
    """An older version whose parent was never there stays when another's parent is deleted."""
    s.source.run("INSERT INTO public.customer VALUES (60, '42', 1);"
                 "INSERT INTO public.purchase VALUES (460, 60, 460, 1)")
    drain(migration)
    s.source.run("UPDATE public.purchase SET price = 2000 WHERE id = 49")
    s.source.run("BEGIN; UPDATE public.purchase SET customer = 1, price = 2000 WHERE id = 460;"
                 "DELETE FROM public.purchase WHERE id = 460; DELETE FROM public.customer WHERE id = 60; COMMIT")
    accounted(migration, [("customer", 50), ("purchase", 400), ("purchase", 49)], "an older version of its child")
    if older(migration) != [("app.purchase", "49")]:
        raise Failed(f"older versions: {older(migration)}")
    s.source.run("UPDATE public.purchase SET price = 3 WHERE id = 49")


def family(s, migration):
    """A parent that a CHECK refuses, its children, theirs; another's come with them and go in."""
    s.source.run("""
        BEGIN;
        INSERT INTO public.line VALUES (1001, 1000, 'first'), (1002, 999, 'before its parent');
        INSERT INTO public.purchase VALUES (999, 1, 999, 1);
        INSERT INTO public.purchase VALUES (1000, 1000, 1000, 1), (1003, 7, 1003, 1);
        INSERT INTO public.customer VALUES (1000, '200', 1), (1001, '20', 1);
        COMMIT;
        INSERT INTO public.line VALUES (1004, 1000, 'later'), (1005, 1003, 'of a good one')""")
    lost = [("customer", 1000), ("purchase", 1000), ("line", 1001), ("line", 1004)]
    accounted(migration, lost, "a parent that is refused, and its children")
    if {r[4] for r in rejects(migration)} != {"23514", "23503"}:
        raise Failed(f"their errors: {rejects(migration)}")
    s.source.run("UPDATE public.line SET note = 'again' WHERE id = 1001")
    accounted(migration, lost, "a change of a child without parent")
    s.target.run("ALTER TABLE app.customer DROP CONSTRAINT young")
    migration.command("retry")
    accounted(migration, [], "retry brings parent, children and theirs")
    must_equal(migration)
    s.target.run("ALTER TABLE app.customer ADD CONSTRAINT young CHECK (age < 150) NOT VALID")


def mended_at_the_source(s, migration):
    s.source.run("INSERT INTO public.customer VALUES (1100, '300', 1)")
    s.source.run("INSERT INTO public.purchase VALUES (1100, 1100, 1100, 1), (1101, 1100, 1101, 1)")
    accounted(migration, [("customer", 1100), ("purchase", 1100), ("purchase", 1101)], "again")
    s.source.run("UPDATE public.customer SET age = '30' WHERE id = 1100")
    accounted(migration, [("purchase", 1100), ("purchase", 1101)], "the parent is mended")
    s.source.run("UPDATE public.purchase SET price = 2 WHERE id = 1101")
    accounted(migration, [("purchase", 1100)], "one child is changed")
    migration.command("retry")
    accounted(migration, [], "the other is tried again")


def older_versions(s, migration):
    """Of rows that were there the older version stays, with all that refers to it."""
    s.source.run("""
        BEGIN;
        UPDATE public.purchase SET customer = 4000 WHERE id = 5;
        UPDATE public.purchase SET price = 7 WHERE id IN (5, 6);
        UPDATE public.line SET note = 'of 5' WHERE purchase = 5;
        INSERT INTO public.line VALUES (1200, 5, 'new, of 5');
        INSERT INTO public.customer VALUES (1200, '20', 1201), (1201, '20', 1200), (1202, '20', 1299);
        COMMIT""")
    accounted(migration, [("purchase", 5), ("customer", 1202)], "an older parent, and a circle")
    if s.target.rows("SELECT customer FROM app.purchase WHERE id = 5") != [(6,)]:
        raise Failed("the older version is not there")
    s.source.run("BEGIN; DELETE FROM public.customer WHERE id = 1202;"
                 "INSERT INTO public.customer VALUES (4000, '40', 1); COMMIT")
    migration.command("retry")
    accounted(migration, [], "the parent has come")


def swaps_and_deletes(s, migration):
    """In one transaction with rows that are refused: what is fine in the end goes in."""
    s.source.run("""
        BEGIN;
        UPDATE public.purchase SET place = 11 WHERE id = 10;
        UPDATE public.purchase SET place = 10 WHERE id = 11;
        DELETE FROM public.purchase WHERE id = 12;
        UPDATE public.line SET purchase = 13 WHERE purchase = 12;
        INSERT INTO public.purchase VALUES (1300, 1, 20, 1), (1301, 1, 1301, 2000), (1302, 1, 1302, 5);
        UPDATE public.purchase SET price = 5000 WHERE id = 1302;
        UPDATE public.purchase SET price = 50 WHERE id = 1302;
        INSERT INTO public.purchase VALUES (1303, 1, 1304, 1), (1304, 4444, 1304, 1);
        COMMIT""")
    accounted(migration, [("purchase", 1300), ("purchase", 1301), ("purchase", 1304)],
              "a swap and a moved child beside a clash and a dear one")
    s.source.run("BEGIN; UPDATE public.purchase SET place = 1300 WHERE id = 1300;"
                 "DELETE FROM public.purchase WHERE id IN (1301, 1304); COMMIT")
    accounted(migration, [], "mended and deleted")
    s.source.run("BEGIN; UPDATE public.purchase SET place = 11 WHERE id = 11;"
                 "UPDATE public.purchase SET place = 10 WHERE id = 10; COMMIT")
    accounted(migration, [], "a swap alone")


def many(s, migration):
    """As many children as may be put aside come in one transaction, among good ones."""
    s.source.run("INSERT INTO public.customer VALUES (5000, '500', 1);"
                 "INSERT INTO public.purchase SELECT i, CASE WHEN i % 3 = 0 THEN 5000 ELSE 1 END, i, 1"
                 " FROM generate_series(5000, 5299) i")
    accounted(migration, [("customer", 5000)] + [("purchase", i) for i in range(5001, 5300, 3)],
              "a third of 300")
    s.source.run("UPDATE public.customer SET age = '50' WHERE id = 5000")
    drain(migration)
    migration.command("retry")
    accounted(migration, [], "the third went in")


def parents_go(s, migration):
    """The parents of older versions are deleted: these go too, and what is older still below them."""
    s.source.run("INSERT INTO public.customer SELECT i, '42', 1 FROM generate_series(2000, 2004) i;"
                 "INSERT INTO public.purchase SELECT i, i, i, 1 FROM generate_series(2000, 2004) i;"
                 "INSERT INTO public.line SELECT i, i, 'l' FROM generate_series(2002, 2004) i")
    drain(migration)
    s.source.run("UPDATE public.purchase SET customer = 1, price = 2000 WHERE id IN (2000, 2003)")
    accounted(migration, [("purchase", 2000), ("purchase", 2003)], "too dear")
    s.source.run("DELETE FROM public.customer WHERE id = 2000")
    s.source.run("""
        BEGIN;
        UPDATE public.purchase SET customer = 1, price = 2000 WHERE id IN (2001, 2002);
        UPDATE public.line SET purchase = 9999 WHERE id = 2002;
        DELETE FROM public.customer WHERE id IN (2001, 2002);
        INSERT INTO public.purchase VALUES (2005, 9999, 2005, 1), (2006, 1, 2006, 1);
        COMMIT""")
    accounted(migration, [("line", 2002)] + [("purchase", i) for i in (2000, 2001, 2002, 2003, 2005)],
              "their parents are gone")
    if older(migration) != [("app.purchase", "2003")]:
        raise Failed(f"older versions: {older(migration)}")
    s.source.run("UPDATE public.purchase SET price = 5 WHERE id BETWEEN 2000 AND 2003;"
                 "UPDATE public.purchase SET customer = 1 WHERE id = 2005;"
                 "UPDATE public.line SET purchase = 2001 WHERE id = 2002")
    accounted(migration, [], "mended")


def not_to_be_put_aside(s, migration):
    """A DELETE that leaves children behind stops the run, and says which."""
    s.source.run("DELETE FROM public.customer WHERE id = 3")
    migration.ended(4)
    error = migration.status()["error"] or ""
    for text in ("app.customer", "public.customer", "remove", "still referenced"):
        if text not in error:
            raise Failed(f"the error does not say {text!r}: {error}")
    s.source.run("INSERT INTO public.customer VALUES (3, '42', 1)")
    s.target.run("ALTER TABLE app.purchase DROP CONSTRAINT purchase_customer_fkey")
    migration.start()
    accounted(migration, [], "without the foreign key")


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS, rejects=101)
    copied(s, migration)
    family(s, migration)
    mended_at_the_source(s, migration)
    older_versions(s, migration)
    swaps_and_deletes(s, migration)
    many(s, migration)
    parents_go(s, migration)
    not_to_be_put_aside(s, migration)
    must_equal(migration)
    migration.command("retry", expect=0)
