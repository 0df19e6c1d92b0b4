"""Rows that the SELECT or the target refuses are put aside, superseded and tried again.

Random writers with a share of bad values: casts, CHECK, NOT NULL, too long, a unique clash.
"""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD, EXIT_USAGE
from harness.processes import Failed
from harness.rejects import count, must_account, stored_rows_are_present
from harness.writers import Table

OLD = """
CREATE TABLE public.person (id int PRIMARY KEY, age text, email text, badge int, note text);
ALTER TABLE public.person ALTER note SET STORAGE EXTERNAL;
INSERT INTO public.person SELECT i, CASE i % 400 WHEN 0 THEN 'old' WHEN 1 THEN '151' ELSE '42' END,
       'm' || i, CASE WHEN i % 500 = 2 THEN 1001 ELSE i + 1000 END, CASE WHEN i % 10 = 0 THEN repeat('long ', 600) END
FROM generate_series(1, 5000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.person (
    id bigint PRIMARY KEY, age int NOT NULL CONSTRAINT young CHECK (age < 150),
    email varchar(20), badge int UNIQUE, note text);
CREATE TABLE app.mail (id bigint PRIMARY KEY, email text);
"""

FLOWS = [
    Flow("public.person", "app.person", key=("id",), select="""
        SELECT id::bigint AS id, age::int AS age, email, badge, note FROM old
    """),
    # takes every row: what one flow refuses is no matter to another
    Flow("public.person", "app.mail", key=("id",), select="""
        SELECT id::bigint AS id, email FROM old
    """),
]

AGE = values.one_of("1", "33", "77", "20", "21", "22", "23", "24", "200", "1e3", "young", None)

PERSON = Table("public.person", {"id": lambda rng: rng.randrange(1, 200) * 25},
               {"age": AGE, "email": values.one_of("short", "also short", "far too long an address"),
                "badge": lambda rng: rng.randrange(1, 300) * 9,
                "note": values.maybe(lambda rng: values.long_text(rng), 0.5)})

COLUMNS = ("id", "age", "email", "badge", "note")


# An older version of another refused row has their key: its key moved, and its long note was not sent.
KEY_IS_HELD = """
SELECT count(*) FROM pgcrossfade.reject r WHERE sqlstate = '23505' AND EXISTS (
    SELECT FROM pgcrossfade.reject o WHERE o.id <> r.id AND o.held->>'id' = r.key->>'id')
"""


def accounted(migration):
    drain(migration)
    stored_rows_are_present(migration, "public.person", "app.person", "id", COLUMNS)
    must_account(migration, "id", "id")


MEND = """
ALTER TABLE app.person DROP CONSTRAINT young, DROP CONSTRAINT person_badge_key,
    ALTER age DROP NOT NULL, ALTER email TYPE text;
"""


def must_say(outcome, *wanted):
    for text in wanted:
        if text not in outcome.text:
            raise Failed(f"the command does not say {text!r}:\n{outcome.text}")


def expect_rejects(migration, expected, why):
    if count(migration) != expected:
        raise Failed(f"{why}: {count(migration)} rejects, wanted {expected}\n"
                     + migration.command("retry", "--list").out)


def tried_again(s, migration):
    """What the target refused goes in once it is mended; what the SELECT refuses does not."""
    migration.command("retry", expect=EXIT_BAD)  # a badge that clashed may be free by now
    accounted(migration)
    must_say(migration.command("retry", expect=EXIT_BAD), "0 went in", "app.person")
    must_say(migration.command("cutover", expect=EXIT_BAD), "app.person", "--accept-rejects")
    s.target.run(MEND)
    must_say(migration.command("retry", "--flow", "app.mail"), "0 went in, 0 left")
    migration.command("retry", "--flow", "app.nobody", expect=EXIT_BAD)
    must_say(migration.command("retry", expect=EXIT_BAD), "invalid input syntax")
    accounted(migration)
    casts = s.source.value("SELECT count(*) FROM public.person WHERE age IN ('1e3', 'young', 'old')")
    behind = s.target.value(KEY_IS_HELD)
    expect_rejects(migration, casts + behind, "after a retry only failing casts and who waits for them are left")
    # a later change of the row supersedes its reject
    s.source.run("UPDATE public.person SET age = '50' WHERE age IN ('1e3', 'young', 'old')")
    drain(migration)
    expect_rejects(migration, behind, "after the bad values are gone")
    must_say(migration.command("retry"), f"{behind} went in, 0 left")
    must_equal(migration)


def superseded(s, migration):
    """INSERT, key move, key move of a row that is not there, DELETE, TRUNCATE."""
    s.source.run("INSERT INTO public.person VALUES (90001, 'bad', 'a', 90001), (90002, 'bad', 'b', 2)")
    s.source.run("UPDATE public.person SET age = 'worse' WHERE id = 1")
    s.source.run("UPDATE public.person SET id = 90003 WHERE id = 1")
    s.source.run("UPDATE public.person SET id = 90004 WHERE id = 90001")
    accounted(migration)
    expect_rejects(migration, 3, "refused and moved")
    s.source.run("UPDATE public.person SET age = '3' WHERE id = 90003")
    s.source.run("DELETE FROM public.person WHERE id = 90004")
    accounted(migration)
    expect_rejects(migration, 1, "one deleted, one mended")
    s.source.run("BEGIN; TRUNCATE public.person;"
                 "INSERT INTO public.person VALUES (1, 'bad', 'a', 1), (2, '2', 'b', 2); COMMIT")
    accounted(migration)
    expect_rejects(migration, 1, "after TRUNCATE")
    told = migration.status()["rejects"]
    if told != [{"source": "public.person", "target": "app.person", "rows": 1}]:
        raise Failed(f"status says {told}")
    must_say(migration.command("status"), "1 of public.person -> app.person put aside")
    must_say(migration.command("retry", "--list"), "public.person -> app.person", '"id": "1"', "1 reject")
    migration.command("retry", "--list", "--flow", "app.nix", expect=EXIT_USAGE)


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, rejects=1000)
    with s.writers([PERSON]) as writers:
        writers.more(50)
        migration.start()
        migration.wait_for("stream")
        writers.more(300)
        writers.stop()
    accounted(migration)
    if s.target.value("SELECT count(*) FROM pgcrossfade.reject WHERE chunk IS NOT NULL") == 0:
        raise Failed("the copy refused nothing")
    tried_again(s, migration)
    superseded(s, migration)
    must_say(migration.command("cutover", expect=EXIT_BAD), "1 row of public.person -> app.person")
    must_say(migration.command("cutover", "--accept-rejects", "app.person,app.x", expect=EXIT_BAD),
             "app.x")
    migration.command("cutover", "--accept-rejects", "app.person")
    accounted_rows = s.target.rows("SELECT id FROM app.person")
    if accounted_rows != [(2,)] or count(migration) != 1:
        raise Failed(f"switched without the reject, but: {accounted_rows}, {count(migration)}")
