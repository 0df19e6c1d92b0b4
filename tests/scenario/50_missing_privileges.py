"""With any one of the privileges of docs/privileges.md missing, check refuses and names it."""
from harness.migration import EXIT_CHECK
from harness.privileges import NEW, OLD, by_mover, closed_database, grant, granted
from harness.processes import Failed

DECODER_MATTERS = False

# What ownership brings, taken from the owner: server, statement, what check must name.
REVOKED = [
    ("source", "REVOKE SELECT ON public.customer FROM app", "no SELECT on public.customer"),
    ("source", "REVOKE TRIGGER ON public.visit FROM app", "no TRIGGER on public.visit"),
    ("source", "REVOKE UPDATE, DELETE, TRUNCATE ON public.visit FROM app",
     "no UPDATE on public.visit"),
    ("source", "REVOKE USAGE ON SCHEMA public FROM app", "USAGE on the schema"),
    ("source", "REVOKE SELECT ON SEQUENCE public.customer_id_seq FROM app",
     "no SELECT on sequence public.customer_id_seq"),
    ("target", "REVOKE INSERT ON app.visit FROM app_v2", "no INSERT on app.visit"),
    ("target", "REVOKE UPDATE ON app.visit FROM app_v2", "no UPDATE on app.visit"),
    ("target", "REVOKE DELETE ON app.visit FROM app_v2", "no DELETE on app.visit"),
    ("target", "REVOKE SELECT ON app.visit FROM app_v2", "no SELECT on app.visit"),
    ("target", "REVOKE REFERENCES ON app.customer FROM app_v2", "GRANT REFERENCES ON app.customer"),
    ("target", "REVOKE CREATE ON SCHEMA app FROM app_v2", "GRANT CREATE ON SCHEMA app TO mover"),
    ("target", "REVOKE UPDATE ON SEQUENCE app.visit_visit_id_seq FROM app_v2",
     "no SELECT, UPDATE on sequence app.visit_visit_id_seq"),
    ("target", "REVOKE USAGE ON SEQUENCE app.visit_serial_no_seq FROM app_v2",
     "no USAGE on sequence app.visit_serial_no_seq"),
    ("target", "REVOKE EXECUTE ON FUNCTION app.shout FROM PUBLIC, app_v2",
     "permission denied for function shout"),
    ("source", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
     "GRANT EXECUTE ON FUNCTION pg_control_system() TO mover"),
    ("source",  # it has one more argument since PostgreSQL 17
     "DO $$ BEGIN EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', (SELECT oid::regprocedure FROM pg_proc"
     " WHERE oid::regprocedure::text LIKE 'pg_logical_emit_message(boolean,text,text%')); END $$",
     "may not execute pg_logical_emit_message(boolean,text,text"),
    ("target", "CREATE SCHEMA pgcrossfade AUTHORIZATION postgres",
     "schema pgcrossfade belongs to role postgres"),
    ("source", "CREATE PUBLICATION pgcrossfade_main",
     "publication pgcrossfade_main is there already and belongs to role postgres"),
]


def undo(line):
    """The statement that takes a line of the page back."""
    if line.startswith("ALTER ROLE mover "):
        return line.replace("mover ", "mover NO")
    what, _, who = line.removeprefix("GRANT ").partition(" TO ")
    return f"REVOKE {what} FROM {who}"


def must_refuse(migration, what, wanted):
    said = migration.check(expect=EXIT_CHECK).text
    flat = [line for line in said.splitlines() if line.startswith("fail") and wanted in line]
    if not flat:
        raise Failed(f"after {what}: check does not say {wanted!r}:\n{said}")
    if migration.traces() and "CREATE" not in what:
        raise Failed(f"after {what}: check left {migration.traces()}")


def without_each_line(migration, sides, found):
    for side, database in sides.items():
        for line in found[side][1:]:
            database.run(undo(line))
            # without CONNECT it is the server that says so
            must_refuse(migration, undo(line),
                        "CONNECT privilege" if "CONNECT" in line else line)
            database.run(line)


def without_each_right(migration, sides):
    for side, revoke, wanted in REVOKED:
        database = sides[side]
        acl = {table: database.rows(f"SELECT oid, {column}::text FROM {table}")
               for table, column in [("pg_class", "relacl"), ("pg_namespace", "nspacl"),
                                     ("pg_proc", "proacl")]}
        database.run(revoke)
        must_refuse(migration, revoke, wanted)
        if revoke.startswith("CREATE SCHEMA"):
            database.run("DROP SCHEMA pgcrossfade")
        elif revoke.startswith("CREATE PUBLICATION"):
            database.run("DROP PUBLICATION pgcrossfade_main")
        else:
            restore(database, acl)


def restore(database, acl):
    columns = {"pg_class": "relacl", "pg_namespace": "nspacl", "pg_proc": "proacl"}
    database.run("SET allow_system_table_mods = on")
    for table, rows in acl.items():
        for oid, text in rows:
            database.run(f"UPDATE {table} SET {columns[table]} = %s::aclitem[] WHERE oid = %s"
                         f" AND {columns[table]}::text IS DISTINCT FROM %s", [text, oid, text])


def scenario(s):
    source = closed_database(s.servers[0], "shop")
    target = closed_database(s.servers[-1], "shop_v2")
    source.run(OLD)
    target.run(NEW)
    grant(source, "source")
    grant(target, "target")
    sides = {"source": source, "target": target}
    migration = by_mover(s, source, target)
    migration.check()
    without_each_line(migration, sides, granted())
    without_each_right(migration, sides)
    migration.check()
