"""New tables that refer to themselves and in a circle, and whose foreign keys would act."""
from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until
from harness.writers import Table

# no foreign keys at the source but one that is checked late: its changes come in any order
OLD = """
CREATE TABLE public.person (id int PRIMARY KEY, boss int, team int);
CREATE TABLE public.team (id int PRIMARY KEY, lead int, name text);
CREATE TABLE public.note (id int PRIMARY KEY,
    person int REFERENCES public.person DEFERRABLE INITIALLY DEFERRED, text text);
INSERT INTO public.team SELECT i, i, 'team ' || i FROM generate_series(1, 20) i;
INSERT INTO public.person SELECT i, nullif(i / 2, 0), i % 20 + 1 FROM generate_series(1, 3000) i;
INSERT INTO public.note SELECT i, i % 3000 + 1, repeat('x', 100) FROM generate_series(1, 6000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.person (id bigint PRIMARY KEY, boss bigint, team bigint);
CREATE TABLE app.team (id bigint PRIMARY KEY, lead bigint, name text);
CREATE TABLE app.note (id bigint PRIMARY KEY, person bigint, text text);
ALTER TABLE app.person ADD CONSTRAINT boss FOREIGN KEY (boss) REFERENCES app.person ON DELETE CASCADE;
ALTER TABLE app.person ADD CONSTRAINT team FOREIGN KEY (team) REFERENCES app.team;
ALTER TABLE app.team ADD CONSTRAINT lead FOREIGN KEY (lead) REFERENCES app.person
    ON DELETE SET NULL{of_lead} ON UPDATE CASCADE DEFERRABLE;
ALTER TABLE app.note ADD CONSTRAINT "the note's" FOREIGN KEY (person) REFERENCES app.person
    MATCH FULL ON DELETE CASCADE;
COMMENT ON CONSTRAINT "the note's" ON app.note IS 'it''s kept';
"""

FLOWS = [
    Flow("public.note", "app.note", key=("id",),
         select="SELECT id::bigint AS id, person::bigint AS person, text FROM old"),
    Flow("public.person", "app.person", key=("id",),
         select="SELECT id::bigint AS id, boss::bigint AS boss, team::bigint AS team FROM old"),
    Flow("public.team", "app.team", key=("id",),
         select="SELECT id::bigint AS id, lead::bigint AS lead, name FROM old"),
]

CONSTRAINTS = """
SELECT conrelid::regclass || '.' || conname || ' ' || pg_get_constraintdef(oid),
       convalidated, condeferrable, obj_description(oid, 'pg_constraint')
  FROM pg_constraint WHERE contype = 'f' AND connamespace = 'app'::regnamespace ORDER BY 1
"""

# each in one transaction that is whole at its end
ADD = """
INSERT INTO public.team VALUES ({n}, {n}, 'later');
INSERT INTO public.person VALUES ({n}, {n}, {n});
INSERT INTO public.person VALUES ({n} + 1, {n}, {n});
"""
# the parent goes and comes back: a cascade would have taken what refers to it
AGAIN = """
DELETE FROM public.person WHERE id = {n};
INSERT INTO public.person VALUES ({n}, NULL, 1);
"""
# the key that another row refers to moves
MOVE = """
UPDATE public.person SET id = 60000 WHERE id = 50000;
UPDATE public.person SET boss = 60000 WHERE boss = 50000;
"""


def scenario(s):
    s.source.run(OLD)
    of_lead = " (lead)" if s.target.value("SHOW server_version_num") >= "150000" else ""
    s.target.run(NEW.format(of_lead=of_lead))
    before = s.target.rows(CONSTRAINTS)
    notes = Table("public.note", {"id": values.up_to(7000)}, {"text": values.text})
    migration = s.migration(FLOWS)
    with s.writers([notes], count=1) as writers:
        s.source.run(ADD.format(n=10000))
        migration.start()
        migration.wait_for("lag-zero")
        for n in range(10010, 10100, 10):
            s.source.run(ADD.format(n=n))
            s.source.run(AGAIN.format(n=n // 10))
        s.source.run("INSERT INTO public.person VALUES (50000, 50001, 1), (50001, 50000, 1)")
        s.source.run(MOVE)
        # the same row by row: a TRUNCATE in between makes the batch keep the source's order
        s.source.run(AGAIN.format(n=2) + "UPDATE public.person SET boss = NULL WHERE boss = 3;"
                     "UPDATE public.note SET person = 1 WHERE person = 3;"
                     "UPDATE public.team SET lead = NULL WHERE lead = 3; DELETE FROM public.person WHERE id = 3")
        writers.more(50)
        writers.stop()
    drain(migration)
    must_equal(migration)
    s.source.run("BEGIN; TRUNCATE public.note;" + AGAIN.format(n=4) +
                 "INSERT INTO public.note VALUES (1, 4, 'back'); COMMIT")
    drain(migration)
    must_equal(migration)
    migration.command("cutover")
    until(lambda: s.target.value("SELECT count(*) FROM pgcrossfade.definition") == 0,
          "the last definition", alive=migration.must_run)
    after = s.target.rows(CONSTRAINTS)
    if after != before:
        raise Failed(f"lost: {set(before) - set(after)}, new: {set(after) - set(before)}")
    s.target.run("DELETE FROM app.person WHERE id = 4")
    if s.target.value("SELECT count(*) FROM app.note WHERE person = 4"):
        raise Failed("the cascade does not act after the switch")
