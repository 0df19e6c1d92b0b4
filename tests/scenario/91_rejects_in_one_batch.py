"""Several source transactions of hundreds of changes in one batch, each with a row that is refused.

They are applied in exact order and commit together. What goes to the target in several round
trips must not go there twice when a change of the last one is refused: the journal has no key.
"""
from harness.compare import must_equal
from harness.drain import drain, until_received
from harness.flow import Flow
from harness.rejects import must_be_put_aside

OLD = """
CREATE TABLE public.stock (id int PRIMARY KEY, amount int, note text);
CREATE TABLE public.journal (id int, note text);
INSERT INTO public.stock SELECT i, 1, 'old' FROM generate_series(1, 1000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.stock (id bigint PRIMARY KEY, amount int CONSTRAINT few CHECK (amount < 1000), note text);
CREATE TABLE app.journal (id bigint, note text);
"""

FLOWS = [
    Flow("public.stock", "app.stock", key=("id",),
         select="SELECT id::bigint AS id, amount, note FROM old"),
    Flow("public.journal", "app.journal", insert_only=True,
         select="SELECT id::bigint AS id, note FROM old"),
]

COLUMNS = {"stock": ("id", "amount", "note")}

FEWER, MORE = 100, 700  # changes that go in one round trip, and that take several


def transaction(cursor, first, changes, refused):
    """Journal entries, then inserts; of these so many are refused, the last among them."""
    last = first + changes - 1
    cursor.execute(f"""
        INSERT INTO public.journal SELECT i, 'of ' || i FROM generate_series({first}, {last}) i;
        INSERT INTO public.stock
        SELECT i, CASE WHEN ({last} - i) % {changes // refused} = 0 THEN 5000 ELSE 1 END, 'new'
        FROM generate_series({first}, {last}) i;
        INSERT INTO public.journal VALUES ({first}, 'last')""")
    cursor.connection.commit()


def in_one_batch(s, migration, sizes, first, refused=1):
    """The target is held up meanwhile."""
    with s.target.connect() as holder, holder.cursor() as lock, \
            s.source.connect() as writer, writer.cursor() as cursor:
        lock.execute("LOCK TABLE app.stock IN SHARE MODE")
        cursor.execute("UPDATE public.stock SET note = 'waits' WHERE id = 1")
        writer.commit()
        for size in sizes:
            transaction(cursor, first, size, refused)
            first += size
        until_received(migration)
        holder.rollback()
    holder.close()
    writer.close()
    drain(migration)
    return first


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS, rejects=1000)
    first = in_one_batch(s, migration, (FEWER, FEWER, MORE, FEWER, MORE, MORE), 10000)
    first = in_one_batch(s, migration, (MORE, FEWER, MORE), first, refused=10)
    in_one_batch(s, migration, (FEWER,) * 20, first)
    refused = s.source.rows("SELECT id FROM public.stock WHERE amount > 1000")
    must_be_put_aside(migration, COLUMNS, [("stock", i) for i, in refused], "those over the limit")
    s.target.run("ALTER TABLE app.stock DROP CONSTRAINT few")
    migration.command("retry")
    must_equal(migration)
