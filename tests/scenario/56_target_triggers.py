"""Triggers of new tables fire for copied and streamed rows; kill -9 leaves no row out, and none in twice.

What an AFTER trigger writes is committed with the row that fired it, and is undone with it: the
audit table's inserts and updates and deletes always come out at the rows that are there. It is no
history of the old table's changes: a batch brings the last of several, as an upsert.
"""
import time

from harness import values
from harness.compare import differences
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed
from harness.writers import Table

ROUNDS = (4, 40)  # kills, half of them in the copy

OLD = """
CREATE TABLE public.person (id int PRIMARY KEY, email text, age int);
CREATE TABLE public.note (who int, body text);
ALTER TABLE public.note REPLICA IDENTITY FULL;
INSERT INTO public.person SELECT i, '  User.' || i || '@Example.ORG ', i % 90 FROM generate_series(1, 12000) i;
INSERT INTO public.note SELECT i, ' Note ' || i FROM generate_series(1, 3000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.person (id bigint PRIMARY KEY, email text, age int);
CREATE TABLE app.note (who bigint, body text);
CREATE TABLE app.audit (no bigserial, tab text, op text, was jsonb, now jsonb);
CREATE FUNCTION app.normalise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.email := lower(btrim(NEW.email, ' '));
    RETURN NEW; END $$;
CREATE FUNCTION app.audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO app.audit (tab, op, was, now)
    VALUES (TG_TABLE_NAME, TG_OP, CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
            CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL; END $$;
CREATE TRIGGER normalise BEFORE INSERT OR UPDATE ON app.person FOR EACH ROW EXECUTE FUNCTION app.normalise();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON app.person FOR EACH ROW EXECUTE FUNCTION app.audit();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON app.note FOR EACH ROW EXECUTE FUNCTION app.audit();
"""

FLOWS = [
    Flow("public.person", "app.person", key=("id",), select="""
        SELECT id::bigint AS id, email, age FROM old WHERE age IS NOT NULL
    """),
    Flow("public.note", "app.note", select="SELECT who::bigint AS who, body FROM old"),
]

ARRIVED = [
    Flow("public.person", "app.person", select="""
        SELECT id::bigint AS id, lower(btrim(email, ' ')) AS email, age FROM old WHERE age IS NOT NULL
    """),
    FLOWS[1],
]

# each value of a row was put there as often as it was taken away, but for those that are there
UNBALANCED = """
WITH audited AS (SELECT tab, now AS r, 1 AS n FROM app.audit WHERE now IS NOT NULL
                 UNION ALL SELECT tab, was, -1 FROM app.audit WHERE was IS NOT NULL),
     there AS (SELECT 'person' AS tab, to_jsonb(p) AS r, -1 AS n FROM app.person p
               UNION ALL SELECT 'note', to_jsonb(x), -1 FROM app.note x)
SELECT tab, r, sum(n) FROM (TABLE audited UNION ALL TABLE there) AS a GROUP BY tab, r HAVING sum(n) <> 0
"""

PERSON = Table("public.person", {"id": values.up_to(13000)},
               {"email": values.maybe(values.text), "age": values.maybe(values.small)})
NOTE = Table("public.note", {"who": values.up_to(3500)}, {"body": values.text}, unique=False)


def kill_some(s, migration, writers, times):
    for _ in range(times):
        writers.more(20)
        time.sleep(s.rng.random() * 0.4)  # the moment is random: that is what is tested
        migration.kill9()
        migration.start()


def must_hold(s, migration):
    lines = differences(migration.source, migration.target, ARRIVED)
    if lines:
        raise Failed("source and target differ\n" + "\n".join(lines))
    lines = s.target.rows(UNBALANCED)
    if lines:
        raise Failed(f"{len(lines)} rows that the audit does not explain: {lines[:5]}")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, chunk_bytes="64kB")
    warned = migration.check().text
    if "trigger normalise of app.person fires" not in warned or "trigger audit of app.note" not in warned:
        raise Failed(f"check does not tell of the triggers:\n{warned}")
    with s.writers([PERSON, NOTE], count=2) as writers:
        migration.start()
        kill_some(s, migration, writers, s.rounds // 2)
        migration.wait_for("stream")
        kill_some(s, migration, writers, s.rounds - s.rounds // 2)
        writers.stop()
    drain(migration)
    must_hold(s, migration)
    print(s.target.rows("SELECT tab, op, count(*) FROM app.audit GROUP BY 1, 2 ORDER BY 1, 2"))
