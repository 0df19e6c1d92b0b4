"""What check says of servers, settings and what goes on there; a failed check creates nothing."""
import contextlib
import json
import os
import subprocess

import psycopg2

from harness import processes
from harness.fingerprint import changed, fingerprint
from harness.flow import Flow
from harness.migration import EXIT_CHECK
from harness.processes import Failed, until
from harness.servers import knows_setting

DECODER_MATTERS = False

OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, photo oid, body text);
INSERT INTO a SELECT i, 0, repeat(md5(i::text), 20) FROM generate_series(1, 3000) i;
"""
NEW = """
CREATE SCHEMA app; CREATE TABLE app.a (id bigint PRIMARY KEY, photo oid, body tsvector);
"""
FLOWS = [Flow("public.a", "app.a", key=("id",), select="""
    SELECT id::bigint AS id, photo, to_tsvector(body) AS body FROM old""")]


def report(migration, expect, *arguments):
    found = json.loads(migration.command("check", "--json", "--no-data", *arguments,
                                         expect=expect).out)
    for finding in found["findings"]:
        if finding["level"] != "pass" and not finding["do"]:
            raise Failed(f"what is to be done? {finding}")
        if "\n" in finding["text"] or not finding["subject"]:
            raise Failed(f"not one line with a subject: {finding}")
    return found


def must_fail(migration, *wanted, only=True):
    """Exactly one failure, which says all that is wanted; nothing is created anywhere."""
    databases = (migration.source, migration.target)
    before = [fingerprint(database) for database in databases]
    failures = [f for f in report(migration, EXIT_CHECK)["findings"] if f["level"] == "fail"]
    after = [fingerprint(database) for database in databases]
    text = " | ".join(f"{f['text']}; {f['do']}" for f in failures)
    if any(part not in text for part in wanted) or (only and len(failures) != 1):
        raise Failed(f"wanted {wanted}, got {failures}")
    for was, now in zip(before, after):
        if was != now:
            raise Failed(f"a failed check changed {changed(was, now)}")


def must_warn(migration, wanted):
    found = report(migration, 0)
    warnings = [f"{f['subject']}: {f['text']}; {f['do']}" for f in found["findings"]
                if f["level"] == "warn"]
    missing = [part for part in wanted if not any(part in text for text in warnings)]
    if missing:
        raise Failed(f"no warning says {missing}, these do:\n" + "\n".join(warnings))
    if found["warnings"] != len(warnings) or found["failures"]:
        raise Failed(f"counts are wrong: {found}")


@contextlib.contextmanager
def setting(database, name, value):
    """By ALTER SYSTEM and reload, seen by new sessions; back again afterwards."""
    database.run(f"ALTER SYSTEM SET {name} = {value}")
    reload(database)
    try:
        yield
    finally:
        database.run(f"ALTER SYSTEM RESET {name}")
        reload(database)


def reload(database):
    database.rows("SELECT pg_reload_conf()")
    database.forget()  # and the next session is one that has read it


# --- warnings

def busy_servers(s, migration):
    """Everything that is a warning, at one time."""
    s.target.run("CREATE FUNCTION public.nothing() RETURNS event_trigger LANGUAGE plpgsql AS"
                 " 'BEGIN END'; CREATE EVENT TRIGGER watch ON ddl_command_end"
                 " EXECUTE FUNCTION public.nothing();"
                 "CREATE PUBLICATION everything FOR ALL TABLES")
    s.source.rows("SELECT lo_create(0)")
    s.source.run("ALTER ROLE postgres SET default_tablespace = pg_default;"
                 "ALTER DATABASE old SET datestyle = 'German'")
    s.source.run("BEGIN; INSERT INTO a VALUES (-1); PREPARE TRANSACTION 'left over'; ")
    with s.source.connect() as writer, writer.cursor() as cursor, \
            setting(s.target, "synchronous_standby_names", "'nobody'"):
        cursor.execute("INSERT INTO a VALUES (-2)")
        until(lambda: s.source.value("SELECT now() - xact_start > interval '1.1 s' FROM"
                                     " pg_stat_activity WHERE pid = %s",
                                     [writer.get_backend_pid()]), "the transaction is old")
        must_warn(migration, [
            "event triggers fire on what run and cutover create and drop: watch",
            "a subscription that does not have them stops there: everything;",
            'column "photo" is of type oid and the database has large objects',
            "the role or the database sets default_tablespace",
            "synchronous_standby_names is 'nobody'",
            "prepared transaction 'left over' of user postgres",
            f"pid {writer.get_backend_pid()} (user postgres, transaction age 00:00:0",
            "a slot was not made within 3 s",
            "to_tsvector() without a configuration"])
    writer.close()
    s.source.run("ROLLBACK PREPARED 'left over'")
    s.source.run("ALTER ROLE postgres RESET ALL")
    passed = migration.command("check", "--no-data").out
    if "override: datestyle" not in passed.lower() or "makes a slot" not in passed:
        raise Failed(f"pinned settings or the slot are not told:\n{passed}")


def tight_wal(s):
    """Within one server the copy writes into the WAL that the slot keeps."""
    s.source.run(NEW)
    migration = s.migration(FLOWS, source=s.source, target=s.source, name="tight")
    with setting(s.source, "max_slot_wal_keep_size", "'1MB'"):
        must_warn(migration, ["max_slot_wal_keep_size is 1 MB", "MB a second were written"])


def keys_that_stay(s, migration):
    """One is the flow's own key, which is no danger; one is put away."""
    s.target.run("ALTER TABLE app.a ADD CONSTRAINT one_photo UNIQUE (photo), ADD CONSTRAINT pair UNIQUE (id, photo);"
                 "CREATE TABLE app.outside (photo oid REFERENCES app.a (photo), id bigint REFERENCES app.a)")
    found = report(migration, 0)["findings"]
    warned = [f["text"] for f in found if "stays in place" in f["text"]]
    if len(warned) != 1 or not warned[0].startswith("one_photo of app.a stays"):
        raise Failed(f"of keys that stay check says {warned}")
    if not any("0 indexes, 1 unique ones" in f["text"] for f in found):
        raise Failed(f"what is put away is counted otherwise: {found}")
    s.target.run("DROP TABLE app.outside; ALTER TABLE app.a DROP CONSTRAINT one_photo, DROP CONSTRAINT pair")


def other_databases(s):
    make = s.servers[-1].database("postgres").run
    make("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    make("CREATE DATABASE sorted LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8' TEMPLATE template0")
    make("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
         " TEMPLATE template0")
    for name, wanted in (("latin", "its encoding is LATIN1 and the source's is UTF8"),
                         ("sorted", "its collation (C.UTF-8")):
        target = s.servers[-1].database(name, create=False)
        target.run(NEW)
        must_warn(s.migration(FLOWS, target=target, name=name), [wanted])
    target = s.servers[-1].database("bytes", create=False)
    target.run(NEW)
    must_fail(s.migration(FLOWS, target=target, name="bytes"), "encoding SQL_ASCII")


# --- failures

def full_servers(s, migration):
    for i in range(12):
        s.source.rows("SELECT pg_create_physical_replication_slot(%s)", [f"taken{i}"])
    must_fail(migration, "all 12 replication slots are taken", "max_replication_slots")
    s.source.rows("SELECT pg_drop_replication_slot('taken0')")
    must_warn(migration, ["only one replication slot is free"])
    s.source.rows("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    s.target.run("ALTER ROLE postgres CONNECTION LIMIT 4")
    must_fail(migration, "connections are free", "lower jobs")
    s.target.run("ALTER ROLE postgres CONNECTION LIMIT -1")


def slot_taken(s, migration):
    """By something that is not this migration's: what it is is told."""
    drop = f"SELECT pg_drop_replication_slot('{migration.slot}')"
    for make, database, wanted in (
            ("pg_create_physical_replication_slot(%s)", "old", "(a physical one)"),
            ("pg_create_logical_replication_slot(%s, 'pgoutput')", "postgres",
             "(of plugin pgoutput in database postgres)")):
        s.servers[0].database(database, create=False).rows(f"SELECT {make}", [migration.slot])
        must_fail(migration, f"already has replication slot {migration.slot} {wanted}", drop)
        s.servers[0].database(database, create=False).rows(drop)
    s.source.run("CREATE SCHEMA pgcrossfade; CREATE TABLE pgcrossfade.switched (migration text, write_pause_us"
                 " bigint); INSERT INTO pgcrossfade.switched VALUES ('demo', 1)")
    must_fail(migration, "still carries the switch of an earlier migration demo", "another name")
    s.source.run("DROP SCHEMA pgcrossfade CASCADE")


def tables_in_the_way(s, migration):
    s.target.run("INSERT INTO app.a VALUES (1)")
    must_fail(migration, "target table app.a is not empty", "empty it")
    s.target.run("TRUNCATE app.a; CREATE ROLE plain LOGIN REPLICATION; GRANT CREATE ON DATABASE new"
                 " TO plain; ALTER TABLE app.a OWNER TO plain; ALTER SCHEMA app OWNER TO plain;"
                 "ALTER TABLE app.a ENABLE ROW LEVEL SECURITY; ALTER TABLE app.a FORCE ROW LEVEL"
                 " SECURITY")
    hidden = s.migration(FLOWS, name="hidden")
    with open(hidden.file, "w") as f:
        f.write(hidden.yaml().replace(f"user=postgres dbname={s.target.name}",
                                      f"user=plain dbname={s.target.name}"))
    must_fail(hidden, "row security hides rows of app.a", "BYPASSRLS")
    s.target.run("ALTER TABLE app.a DISABLE ROW LEVEL SECURITY")


def switch_that_cannot_be(s):
    for name, sql, wanted in (
            ("ends", "GRANT SELECT ON app.a TO postgres; COMMIT", "must not end there"),
            ("alone", "CREATE INDEX CONCURRENTLY ON app.a (id)", "cannot run inside a transaction"),
            ("wrong", "GRANT SELECT ON ON app.a", "syntax error"),
            ("nobody", "GRANT SELECT ON app.a TO nobody", 'no role "nobody" at the target')):
        more = f"switch:\n  target_sql: {sql}\n"
        must_fail(s.migration(FLOWS, name=name, more=more), wanted)


def plugin_not_there(s):
    """The plugin's library is where the server does not look; and where it is not listed."""
    migration = s.migration(FLOWS, name="plugin", decoder="wal2json")
    with setting(s.source, "dynamic_library_path", "'/nowhere'"):
        must_fail(migration, "makes no slot with decoder wal2json", "use decoder: pgoutput")
    if knows_setting("output_plugin_libraries"):
        with setting(s.source, "output_plugin_libraries", "'pgoutput'"):
            must_fail(migration, "ALTER SYSTEM SET output_plugin_libraries = pgoutput, wal2json;")
        obey(s, migration)


def obey(s, migration):
    """The line that check prints is what makes it pass."""
    with setting(s.source, "output_plugin_libraries", "'pgoutput, \"Other-one\"'"):
        said = migration.check(expect=EXIT_CHECK).text
        line, = (line for line in said.splitlines() if "ALTER SYSTEM" in line)
        for statement in line[line.index("ALTER SYSTEM"):].rstrip(";").split(";"):
            s.source.rows(statement) if "SELECT" in statement else s.source.run(statement)
        s.source.forget()
        if s.source.value("SHOW output_plugin_libraries") != 'pgoutput, "Other-one", wal2json':
            raise Failed("the list is not what it was, and wal2json")
        left = migration.check(expect=0 if wal2json_is_there(s) else EXIT_CHECK).text
        if "output_plugin_libraries" in left:
            raise Failed(f"check is not content:\n{left}")


def wal2json_is_there(s):
    try:
        s.source.run("LOAD 'wal2json'")
        return True
    except psycopg2.Error:
        return False


def other_starts(s, migration):
    """What only a restart changes: no logical WAL, a standby on either side."""
    conf = os.path.join(s.servers[0].data, "postgresql.conf")
    with open(conf) as f:
        was = f.read()
    with open(conf, "a") as f:
        f.write("wal_level = replica\n")
    s.servers[0].restart()
    must_fail(migration, "wal_level is replica", "ALTER SYSTEM SET wal_level = logical")
    with open(conf, "w") as f:
        f.write(was)
    s.servers[0].restart()
    for server in s.servers:
        signal = os.path.join(server.data, "standby.signal")
        server.stop()
        open(signal, "w").close()
        server.start()
        must_fail(migration, "it is a standby", "name its primary")
        server.stop()
        os.remove(signal)
        server.start()


# --- a pooler in between

PGBOUNCER = "/usr/sbin/pgbouncer"
BOUNCER = """
[databases]
{name} = host={directory} port=5432 dbname={name} user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = {own}
listen_port = 6543
auth_type = any
pool_mode = {mode}
logfile = {own}/bouncer.log
"""


@contextlib.contextmanager
def bouncer(s, database, mode):
    own = os.path.join(s.directory, f"bouncer_{mode}")
    os.mkdir(own)
    os.chmod(own, 0o777)
    ini = os.path.join(own, "bouncer.ini")
    with open(ini, "w") as f:
        f.write(BOUNCER.format(name=database.name, directory=database.server.directory, own=own,
                               mode=mode))
    process = processes.start([PGBOUNCER, "-q", ini], as_server=True, cwd="/",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(os.path.join(own, ".s.PGSQL.6543")), "pgbouncer listens")
        yield f"host={own} port=6543 user=postgres dbname={database.name}"
    finally:
        processes.kill9(process)


def through_pooler(s, migration):
    for mode in ("session", "transaction"):
        for side in (s.source, s.target):
            with bouncer(s, side, mode) as conninfo:
                with open(migration.file, "w") as f:
                    f.write(migration.yaml().replace(side.conninfo, conninfo))
                must_fail(migration, "goes through a pooler such as PgBouncer",
                          "name the server's own host and port")
            os.rename(os.path.join(s.directory, f"bouncer_{mode}"),
                      os.path.join(s.directory, f"bouncer_{mode}_{side.name}"))


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    busy_servers(s, migration)
    keys_that_stay(s, migration)
    tight_wal(s)
    other_databases(s)
    full_servers(s, migration)
    slot_taken(s, migration)
    tables_in_the_way(s, migration)
    switch_that_cannot_be(s)
    plugin_not_there(s)
    if os.access(PGBOUNCER, os.X_OK):
        through_pooler(s, s.migration(FLOWS, name="pooled"))
    else:  # script/setup does not install it: its package starts a service
        print(f"{PGBOUNCER} is not there, so no pooler was tried", flush=True)
    other_starts(s, migration)
