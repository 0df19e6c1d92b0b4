"""Foreign keys are as at first after the switch, whatever it renamed and whoever is in the way.

While the stream runs they do not act (no CASCADE); afterwards they must again, those of the new
tables and no others: also where old and new tables swap names, where the new schema gets another
name, where the ledger is one that an earlier version made, and where a reader holds a new table.
complete does not pass that by: it waits, and then names who is in the way. Nobody waits for it
meanwhile. A key that rows keep away is told.
"""
import signal

from harness.drain import drain
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed, until

DECODER_MATTERS = False
SERVERS = 1

OLD = """
CREATE TABLE public.boss (id int PRIMARY KEY);
CREATE TABLE public.worker (id int PRIMARY KEY, boss int, deputy int);
INSERT INTO public.boss SELECT i FROM generate_series(1, 100) i;
INSERT INTO public.worker SELECT i, i, 1 + i % 100 FROM generate_series(1, 150) i; -- 50 without boss
ALTER TABLE public.worker ADD CONSTRAINT boss_of FOREIGN KEY (boss) REFERENCES public.boss NOT VALID;
"""

NEW = """
CREATE SCHEMA v2;
CREATE TABLE v2.boss (id bigint CONSTRAINT new_boss PRIMARY KEY);
CREATE TABLE v2.worker (id bigint CONSTRAINT new_worker PRIMARY KEY, boss bigint, deputy bigint,
    CONSTRAINT "deputy, of" FOREIGN KEY (deputy) REFERENCES v2.boss
        ON UPDATE CASCADE ON DELETE SET NULL);
ALTER TABLE v2.worker ADD CONSTRAINT boss_of FOREIGN KEY (boss) REFERENCES v2.boss ON DELETE CASCADE NOT VALID;
ALTER TABLE v2.worker ADD CONSTRAINT plain FOREIGN KEY (deputy) REFERENCES v2.boss;
COMMENT ON CONSTRAINT "deputy, of" ON v2.worker IS 'it''s; said';
"""

FLOWS = [
    Flow("public.boss", "v2.boss", key=("id",), select="SELECT id::bigint AS id FROM old"),
    Flow("public.worker", "v2.worker", key=("id",), select="""
        SELECT id::bigint AS id, boss::bigint AS boss, deputy::bigint AS deputy FROM old
    """),
]

SWAP = """
switch:
  rename:
    - {table: public.boss, to: public.boss_x}
    - {table: public.worker, to: public.worker_x}
    - {table: v2.boss, to: public.boss}
    - {table: v2.worker, to: public.worker}
    - {table: public.boss_x, to: v2.boss_x}
    - {table: public.worker_x, to: v2.worker_x}
    - {table: v2.boss_x, to: v2.boss}
    - {table: v2.worker_x, to: v2.worker}
  source_sql: |
    ALTER TABLE public.worker RENAME CONSTRAINT plain TO deputy_exists;
    ALTER TABLE public.worker RENAME COLUMN boss TO chief;
"""

# what version 3 saved: SQL, with the names of before the switch
VERSION_3 = """
UPDATE pgcrossfade.definition SET create_sql = CASE kind || ' ' || name
  WHEN 'settle boss_of' THEN 'ALTER TABLE v2.worker DROP CONSTRAINT boss_of; ALTER TABLE v2.worker ADD'
    ' CONSTRAINT boss_of FOREIGN KEY (boss) REFERENCES v2.boss(id) ON DELETE CASCADE NOT VALID'
  WHEN 'settle deputy, of' THEN 'ALTER TABLE v2.worker DROP CONSTRAINT "deputy, of"; ALTER TABLE v2.worker'
    ' ADD CONSTRAINT "deputy, of" FOREIGN KEY (deputy) REFERENCES v2.boss(id) ON UPDATE CASCADE ON DELETE'
    ' SET NULL NOT VALID; COMMENT ON CONSTRAINT "deputy, of" ON v2.worker IS ''it''''s; said'''
  WHEN 'confirm deputy, of' THEN 'ALTER TABLE v2.worker VALIDATE CONSTRAINT "deputy, of"'
  WHEN 'settle plain' THEN 'ALTER TABLE v2.worker ALTER CONSTRAINT plain NOT DEFERRABLE' END;
ALTER TABLE pgcrossfade.definition DROP made;
UPDATE pgcrossfade.ledger SET version = 3;
"""

KEYS = """
SELECT conname::text, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
  FROM pg_constraint WHERE contype = 'f' AND conrelid = '{table}'::regclass ORDER BY 1
"""

# parents that are refused; their children are copied
LOST_PARENTS = """
ALTER TABLE v2.boss ADD CHECK (id <> 7);
CREATE TABLE v2.task (id bigint PRIMARY KEY, owner bigint CONSTRAINT owned REFERENCES v2.boss ON DELETE CASCADE)
    PARTITION BY HASH (id);
CREATE TABLE v2.task_0 PARTITION OF v2.task FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE v2.other (id bigint PRIMARY KEY CONSTRAINT not_8 CHECK (id <> 8));
CREATE TABLE v2.note (id bigint PRIMARY KEY, other bigint CONSTRAINT noted REFERENCES v2.other);
"""

FLOWS_OF_LOST = [
    *FLOWS,
    Flow("public.boss", "v2.other", key=("id",), select="SELECT id::bigint AS id FROM old"),
    *(Flow("public.worker", f"v2.{table}", key=("id",), select=f"""
        SELECT id::bigint AS id, deputy::bigint AS {column} FROM old
    """) for table, column in (("task", "owner"), ("note", "other"))),
]

NO_ROOM = """
CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room for that' USING ERRCODE = '53400'; END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN tag IN ('ALTER TABLE') EXECUTE FUNCTION public.refuse();
"""

TO_SETTLE = "SELECT count(*) FROM pgcrossfade.definition WHERE kind IN ('settle', 'confirm')"


def must_be(database, table, wanted):
    found = database.rows(KEYS.format(table=table))
    if found != wanted:
        raise Failed(f"the foreign keys of {table} are {found}, not {wanted}")


def settled(migration):
    until(lambda: migration.target.value(TO_SETTLE) == 0, "the last foreign key",
          alive=migration.must_run)


def earlier_ledger(migration):
    """The run goes on with a ledger as the version before had it."""
    migration.terminate()
    migration.target.run(VERSION_3)
    migration.start()


def swapped(s, name, earlier):
    """In one database; the old tables have foreign keys of the same name under the same names."""
    s.source.run("DROP TABLE IF EXISTS public.boss, public.worker; DROP SCHEMA IF EXISTS v2 CASCADE")
    s.source.run(OLD)
    s.source.run(NEW)
    migration = s.migration(FLOWS, name=name, target=s.source, more=SWAP)
    migration.start()
    migration.wait_for("lag-zero")
    drain(migration)
    old = s.source.rows(KEYS.format(table="public.worker"))
    if earlier:
        earlier_ledger(migration)
        migration.wait_for("lag-zero")
    print(migration.command("cutover").out)
    settled(migration)
    if 'event=definition.restored kind="settle" table=public.worker name="deputy, of"' not in migration.log_text():
        raise Failed("a name of several words is logged as if it were one")
    must_be(s.source, "v2.worker", [(name, text.replace("boss(id)", "v2.boss(id)"), said)
                                    for name, text, said in old])
    must_be(s.source, "public.worker", [
        ("boss_of", "FOREIGN KEY (chief) REFERENCES boss(id) ON DELETE CASCADE NOT VALID", None),
        ("deputy, of", "FOREIGN KEY (deputy) REFERENCES boss(id) ON UPDATE CASCADE"
                       " ON DELETE SET NULL", "it's; said"),
        ("deputy_exists", "FOREIGN KEY (deputy) REFERENCES boss(id)", None)])
    migration.command("complete")
    migration.ended(0)


def held(s):
    """Between two databases; a reader holds the new table from before the switch on."""
    migration = s.streaming(OLD, NEW, FLOWS, name="held",
                            more="cutover: {lock_timeout: 100ms, tries: 1}\n"
                                 "switch: {target_sql: ALTER SCHEMA v2 RENAME TO live}")
    drain(migration)
    status = migration.status()["definitions"]
    if status["left"] or status["saved"] != 7 or "definitions are back" in migration.command("status").out:
        raise Failed(f"nothing is missing, and status has {status}")
    reader = s.target.connect()
    reader.cursor().execute("SELECT FROM v2.worker")
    print(migration.command("cutover").out)
    for _ in range(2):  # by the run, and asking again
        said = migration.command("complete", expect=EXIT_BAD).err
        if "in 1 try, each without a lock within 100 ms: " not in said or f"pid {reader.info.backend_pid} (user" not in said:
            raise Failed(f"complete says {said}")
    if migration.status()["phase"] != "switched" or not migration.running:
        raise Failed("complete did half of its work")
    earlier_ledger(migration)
    migration.wait_for("switched")
    migration.terminate()
    said = migration.command("complete", expect=EXIT_BAD).err  # without a run
    if f"pid {reader.info.backend_pid} (user" not in said:
        raise Failed(f"complete says {said}")
    reader.close()
    other_reason(s, migration)
    old_tables_held(s, migration)
    must_be(s.target, "live.worker", [
        ("boss_of", "FOREIGN KEY (boss) REFERENCES live.boss(id) ON DELETE CASCADE NOT VALID", None),
        ("deputy, of", "FOREIGN KEY (deputy) REFERENCES live.boss(id) ON UPDATE CASCADE"
                       " ON DELETE SET NULL", "it's; said"),
        ("plain", "FOREIGN KEY (deputy) REFERENCES live.boss(id)", None)])


def other_reason(s, migration):
    """What is no lock is not called one."""
    s.target.run(NO_ROOM)
    said = migration.command("complete", expect=EXIT_BAD).err
    if "in 1 try: settle foreign key" not in said or "no room for that" not in said or "a lock" in said:
        raise Failed(f"complete says {said}")
    s.target.run("DROP EVENT TRIGGER refuse; DROP FUNCTION public.refuse()")


def old_tables_held(s, migration):
    with s.source.connect() as reader:
        reader.cursor().execute("SELECT FROM public.boss")
        said = migration.command("complete", "--drop-old-tables", expect=EXIT_BAD).err
        if "the old tables could not be dropped in 1 try, each without a lock within 100 ms: pid "\
                f"{reader.info.backend_pid} (user" not in said:
            raise Failed(f"complete says {said}")
    reader.close()
    migration.command("complete", "--drop-old-tables")


def nobody_waits(s):
    """Between two tries run hears SIGTERM and other requests, and the command Ctrl-C."""
    s.target.run("DROP SCHEMA live CASCADE")
    migration = s.streaming(OLD, NEW, FLOWS, name="patient",
                            more="cutover: {lock_timeout: 300ms, tries: 1000}")
    reader = s.target.connect()
    reader.cursor().execute("SELECT FROM v2.worker")
    migration.command("cutover")
    asked = tried(migration)
    said = migration.command("cutover", expect=EXIT_BAD, seconds=10).err
    if "the migration is in phase switched" not in said:
        raise Failed(f"cutover says {said}")
    migration.command("complete", expect=EXIT_BAD, seconds=10)
    asked.send_signal(signal.SIGINT)
    said = migration.finish(asked, expect=EXIT_BAD, seconds=10).err
    if "withdrawn after" not in said or "the migration is not complete" not in said:
        raise Failed(f"complete says {said}")
    asked = tried(migration)
    migration.terminate(seconds=5)
    if asked.poll() is not None:
        raise Failed(f"complete does not wait for its outcome: {migration.finish(asked, expect=None).text}")
    reader.close()
    migration.finish(asked)  # without a run
    if migration.phase() != "complete" or s.target.value(TO_SETTLE):
        raise Failed("complete did not do it")


def tried(migration):
    """A complete that has tried once."""
    seen = migration.log_text().count("event=complete.try")
    asked = migration.begin("complete")
    until(lambda: migration.log_text().count("event=complete.try") > seen, "a try", 10,
          alive=migration.must_run)
    return asked


def lost_parents(s):
    """One is brought in before complete, which makes that key whole; of the others it says what to do."""
    s.target.run("DROP SCHEMA v2 CASCADE")
    s.source.run("DROP TABLE public.worker, public.boss")
    migration = s.streaming(OLD, NEW + LOST_PARENTS, FLOWS_OF_LOST, name="lost", rejects=2)
    migration.command("cutover", "--accept-rejects", "v2.boss,v2.other,v2.worker,v2.task,v2.note")
    s.target.run("ALTER TABLE v2.other DROP CONSTRAINT not_8; INSERT INTO v2.other VALUES (8)")
    said = migration.command("complete", expect=EXIT_BAD).err
    migration.ended(0)
    statements = [part.split(";")[0] for part in said.split("run: ")[1:]]
    if "owned of v2.task is not there" not in said or "v2.note" in said or len(statements) != 2:
        raise Failed(f"complete says {said}")
    if migration.phase() != "complete":
        raise Failed("it is not complete")
    s.target.run("ALTER TABLE v2.boss DROP CONSTRAINT boss_id_check; INSERT INTO v2.boss VALUES (7);"
                 + ";".join(statements))
    must_be(s.target, "v2.note", [("noted", "FOREIGN KEY (other) REFERENCES v2.other(id)", None)])
    must_be(s.target, "v2.worker", [
        ("boss_of", "FOREIGN KEY (boss) REFERENCES v2.boss(id) ON DELETE CASCADE NOT VALID", None),
        ("deputy, of", "FOREIGN KEY (deputy) REFERENCES v2.boss(id) ON UPDATE CASCADE"
                       " ON DELETE SET NULL", "it's; said"),
        ("plain", "FOREIGN KEY (deputy) REFERENCES v2.boss(id)", None)])


def dropped(s):
    """A key that the switch itself takes away is not made again, and holds nothing up."""
    s.target.run("DROP SCHEMA v2 CASCADE")
    s.source.run("DROP TABLE public.worker, public.boss")
    migration = s.streaming(OLD, NEW, FLOWS, name="dropped", more="switch: {target_sql: '"
                            "ALTER TABLE v2.worker DROP CONSTRAINT \"deputy, of\"'}")
    migration.command("cutover")
    settled(migration)
    must_be(s.target, "v2.worker", [
        ("boss_of", "FOREIGN KEY (boss) REFERENCES v2.boss(id) ON DELETE CASCADE NOT VALID", None),
        ("plain", "FOREIGN KEY (deputy) REFERENCES v2.boss(id)", None)])
    if "event=definition.gone" not in migration.log_text():
        raise Failed("the log does not tell of it")
    migration.command("complete")


def scenario(s):
    for name, earlier in (("swapped", False), ("earlier", True)):
        swapped(s, name, earlier)
    s.source.run("DROP SCHEMA v2 CASCADE; DROP TABLE public.worker, public.boss")
    held(s)
    nobody_waits(s)
    dropped(s)
    lost_parents(s)
