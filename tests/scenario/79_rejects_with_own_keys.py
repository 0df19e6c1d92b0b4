"""Rejects where the new table numbers its rows, and where the key comes from a mapping; one database.

A row that is put aside keeps the number, and the columns that no flow fills, of its older
version; what was never there gets them when it goes in.
"""
from harness import values
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed
from harness.rejects import count, rejects, stored_rows_are_present
from harness.writers import Table

SERVERS = 1

OLD = """
CREATE TABLE public.member (id int PRIMARY KEY, birth bigserial, age text, letter text);
ALTER TABLE public.member ALTER letter SET STORAGE EXTERNAL;
CREATE TABLE public.client (id int PRIMARY KEY, age text, letter text);
ALTER TABLE public.client REPLICA IDENTITY FULL;
INSERT INTO public.member (id, age, letter)
SELECT i, CASE i % 100 WHEN 0 THEN 'old' WHEN 1 THEN '151' ELSE '42' END,
       CASE WHEN i % 8 = 0 THEN repeat(md5(i::text), 80) END FROM generate_series(1, 3000) i;
INSERT INTO public.client SELECT id, age, letter FROM public.member;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.member (sid int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint NOT NULL UNIQUE,
    birth bigint, age int CONSTRAINT young CHECK (age < 150), letter text, mine text);
CREATE TABLE app.client_map (old_id int PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE app.client (id uuid PRIMARY KEY, age int CONSTRAINT young CHECK (age < 150),
    letter text, mine text);
"""

FLOWS = [
    Flow("public.member", "app.member", key=("id",), select="""
        SELECT id::bigint AS id, birth, age::int AS age, letter FROM old
    """),
    Flow("public.client", "app.client", key=("id",), at_target=True, select="""
        SELECT m.id AS id, o.age::int AS age, o.letter
        FROM old o JOIN app.client_map m ON m.old_id = o.id
    """),
    Flow("public.client", "app.client_map", key=("old_id",), lookup=True,
         select="SELECT DISTINCT id AS old_id FROM old"),
]

AGE = values.one_of("1", "33", "77", "20", "200", "1e3", None)
LETTER = values.maybe(values.long_text)
TABLES = [Table("public.member", {"id": values.up_to(3300)}, {"age": AGE, "letter": LETTER}),
          Table("public.client", {"id": values.up_to(3300)}, {"age": AGE, "letter": LETTER})]

# what both sides have, with the old row's key; of the target also rows that are held
ROWS = {
    "app.member": ("SELECT id::bigint, birth, age, letter FROM public.member",
                   "SELECT id, birth, age::text, letter FROM app.member"),
    "app.client": ("SELECT id::bigint, age, letter FROM public.client",
                   "SELECT m.old_id::bigint, c.age::text, c.letter FROM app.client c"
                   " JOIN app.client_map m USING (id)"),
}


def accounted(s, migration):
    """Without what is put aside, and the older versions that are held, both sides are equal."""
    drain(migration)
    for target, (old, new) in ROWS.items():
        source = target.replace("app.", "public.")
        columns = ("id", "birth", "age", "letter") if "member" in target else ("id", "age", "letter")
        stored_rows_are_present(migration, source, target, "id", columns)
        aside = {int(r[1]["id"]) for r in rejects(migration, target)}
        held = {int(r[3]["id"]) for r in rejects(migration, target) if r[3] is not None}
        want = {row for row in s.source.rows(old) if row[0] not in aside}
        rows = s.source.rows(new)
        got = {row for row in rows if row[0] not in held}
        if want != got or len({row[0] for row in rows}) != len(rows):
            raise Failed(f"{target}: lost {sorted(want - got)[:3]}, more {sorted(got - want)[:3]}")
        if held - {row[0] for row in rows}:
            raise Failed(f"{target}: {held} are held, and not all there")


def number_of(s, member):
    return s.source.rows("SELECT sid, age, mine FROM app.member WHERE id = %s", [member])


def key_of(s, client):
    return s.source.rows("SELECT id, age, mine FROM app.client JOIN app.client_map USING (id)"
                         " WHERE old_id = %s", [client])


def one_by_one(s, migration):
    before = count(migration)
    for table in ("member", "client"):
        s.source.run(f"DELETE FROM public.{table} WHERE id IN (9000, 9001, 9002)")
        s.source.run(f"INSERT INTO public.{table} (id, age) VALUES (9000, '20'), (9001, '200')")
    accounted(s, migration)
    s.source.run("UPDATE app.member SET mine = 'kept' WHERE id = 9000;"
                 "UPDATE app.client SET mine = 'kept' WHERE id IN (SELECT id FROM app.client_map"
                 " WHERE old_id = 9000)")
    was = {number_of: number_of(s, 9000), key_of: key_of(s, 9000)}
    for table in ("member", "client"):
        s.source.run(f"UPDATE public.{table} SET age = 'no' WHERE id = 9000")
    accounted(s, migration)
    for find, rows in was.items():
        if find(s, 9000) != rows or find(s, 9001):
            raise Failed(f"of refused rows there are {find(s, 9000)}, {find(s, 9001)}, were {rows}")
    if count(migration) != before + 4:
        raise Failed(f"{count(migration)} rejects, were {before}")
    for table in ("member", "client"):
        s.source.run(f"UPDATE public.{table} SET age = '30' WHERE id IN (9000, 9001)")
    accounted(s, migration)
    for find, rows in was.items():
        if find(s, 9000) != [(rows[0][0], 30, "kept")]:
            raise Failed(f"mended, it is {find(s, 9000)}, was {rows}")
        if [row[1:] for row in find(s, 9001)] != [(30, None)]:
            raise Failed(f"mended, the new one is {find(s, 9001)}")


def tried_again(s, migration):
    s.source.run("ALTER TABLE app.member DROP CONSTRAINT young; ALTER TABLE app.client DROP CONSTRAINT young")
    numbers = dict(s.source.rows("SELECT id, sid FROM app.member"))
    migration.command("retry", expect=EXIT_BAD)
    accounted(s, migration)
    now = dict(s.source.rows("SELECT id, sid FROM app.member"))
    if any(now[member] != sid for member, sid in numbers.items()):
        raise Failed("a retry gave rows another number")
    for table in ("member", "client"):
        s.source.run(f"UPDATE public.{table} SET age = '7' WHERE age IN ('old', '1e3', 'no')")
    accounted(s, migration)
    if count(migration):
        raise Failed(f"{count(migration)} rejects are left")


def scenario(s):
    s.source.run(OLD)
    s.source.run(NEW)
    migration = s.migration(FLOWS, rejects=3000, chunk_bytes="64kB", target=s.source)
    with s.writers(TABLES, count=2, rate=40) as writers:
        writers.more(20)
        migration.start()
        migration.wait_for("stream")
        writers.more(80)
        writers.stop()
    accounted(s, migration)
    if {r[0] for r in rejects(migration)} != set(ROWS):
        raise Failed("not both tables have rejects")
    one_by_one(s, migration)
    tried_again(s, migration)
