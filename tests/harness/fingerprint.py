"""Whether anything at all was created, changed or dropped in a database."""

# What a session may leave in the catalogs without it: statistics, and where a file lies.
PARTS = {
    "relations": "SELECT oid, relname, relnamespace, relowner, relkind, relacl::text, relchecks,"
                 " relhastriggers, relreplident, reloptions FROM pg_class",
    "columns": "SELECT attrelid, attname, atttypid, attnotnull, attisdropped FROM pg_attribute",
    "schemas": "SELECT oid, nspname, nspowner, nspacl::text FROM pg_namespace"
               " WHERE nspname !~ '^pg_(toast_)?temp_'",
    "functions": "SELECT oid, proname, prosrc, proacl::text FROM pg_proc",
    "types": "SELECT oid, typname FROM pg_type",
    "constraints": "SELECT oid, conname, conrelid, condeferrable, convalidated FROM pg_constraint",
    "triggers": "SELECT oid, tgname, tgrelid, tgenabled FROM pg_trigger",
    "publications": "SELECT oid, pubname FROM pg_publication",
    "slots": "SELECT slot_name, slot_type FROM pg_replication_slots",
    "roles": "SELECT oid, rolname, rolsuper, rolreplication, rolcreaterole FROM pg_roles",
    "settings": "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting",
    "databases": "SELECT oid, datname, datacl::text FROM pg_database",
}


def fingerprint(database):
    """Part -> digest. Two of them are equal when nothing was made in between."""
    return {part: database.value(
        f"SELECT md5(coalesce(string_agg(t::text, '\n' ORDER BY t::text), '')) FROM ({sql}) t")
        for part, sql in PARTS.items()}


def changed(before, after):
    """The parts that differ."""
    return [part for part in before if before[part] != after[part]]
