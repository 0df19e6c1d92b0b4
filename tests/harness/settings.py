"""Settings of databases and roles that change how values are written, or end sessions."""
from .servers import Database

HOSTILE = {
    "datestyle": "'German, DMY'", "timezone": "'Asia/Kathmandu'", "bytea_output": "'escape'",
    "intervalstyle": "'sql_standard'", "extra_float_digits": "-3",
    "search_path": "'trap', 'pg_catalog'", "standard_conforming_strings": "off",
    "default_transaction_read_only": "on", "default_transaction_deferrable": "on",
    "default_transaction_isolation": "'serializable'", "statement_timeout": "'1s'",
    "lock_timeout": "'1s'", "idle_in_transaction_session_timeout": "'1s'",
    "idle_session_timeout": "'1s'", "backslash_quote": "on", "escape_string_warning": "off",
    "lc_monetary": "'C.utf8'", "row_security": "on", "xmlbinary": "'hex'",
    "xmloption": "'document'", "array_nulls": "off", "transform_null_equals": "on",
    "client_min_messages": "'debug1'", "client_encoding": "'LATIN1'",
    "synchronous_commit": "off", "quote_all_identifiers": "on", "jit": "on",
    "plan_cache_mode": "'force_custom_plan'", "check_function_bodies": "off",
    "session_preload_libraries": "'auto_explain'",
}

OTHERS = {**HOSTILE, "datestyle": "'SQL, MDY'", "timezone": "'America/Caracas'",
          "intervalstyle": "'iso_8601'"}

# in the way of names that are not qualified
TRAP = """
CREATE SCHEMA trap;
CREATE FUNCTION trap.upper(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'trapped' $$;
CREATE FUNCTION trap.wrong(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT false $$;
CREATE FUNCTION trap.wrong(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT false $$;
CREATE FUNCTION trap.unnest(anyarray) RETURNS SETOF anyelement IMMUTABLE LANGUAGE sql
    AS $$ SELECT $1[1] WHERE false $$;
CREATE OPERATOR trap.= (FUNCTION = trap.wrong, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR trap.= (FUNCTION = trap.wrong, LEFTARG = text, RIGHTARG = text);
CREATE DOMAIN trap.int4 AS text;
CREATE DOMAIN trap.text AS varchar(1);
CREATE TABLE trap.pg_class (oid oid);
GRANT USAGE ON SCHEMA trap TO PUBLIC;
"""


class Tormented(Database):
    """The same database as role `mover` sees it; our own statements go there as before."""

    ROLE = "mover"

    def __init__(self, database, settings):
        super().__init__(database.server, database.name)
        database.run(TRAP)
        database.server.database("postgres").run(f"""
            DO $$ BEGIN CREATE ROLE {self.ROLE} SUPERUSER LOGIN;
            EXCEPTION WHEN duplicate_object THEN NULL; END $$""")
        for name, value in settings.items():
            database.run(f"ALTER ROLE {self.ROLE} IN DATABASE {database.name} SET {name} = {value}")
            database.run(f"ALTER ROLE {self.ROLE} SET {name} = {value}")

    @property
    def conninfo(self):
        return super().conninfo.replace("user=postgres", f"user={self.ROLE}")

    def connect(self, autocommit=False, **keywords):
        return self.server.database(self.name).connect(autocommit, **keywords)
