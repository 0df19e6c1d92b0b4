"""Two old rows have one key for a moment, within a transaction: nothing keeps them apart at the source.

The new table's key does, so such a transaction cannot be applied; the run stops at it, and does not
take one row for the other.
"""
from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed

OLD = """
CREATE TABLE public.a (id int {key}, n text);
ALTER TABLE public.a REPLICA IDENTITY FULL;
INSERT INTO public.a VALUES (1, 'one'), (2, 'two');
"""

NEW = """
CREATE SCHEMA IF NOT EXISTS app;
DROP TABLE IF EXISTS app.a;
CREATE TABLE app.a (id bigint PRIMARY KEY, n text);
"""

FLOWS = [Flow("public.a", "app.a", key=("id",), select="SELECT id::bigint AS id, n FROM old")]

SWAP = "UPDATE public.a SET id = 3 - id"
CASES = {
    "deferrable primary key": ("PRIMARY KEY DEFERRABLE", SWAP),
    "deferrable unique key": ("NOT NULL UNIQUE DEFERRABLE", SWAP),
    "no key": ("NOT NULL", "BEGIN; INSERT INTO public.a VALUES (1, 'new');"
                           "DELETE FROM public.a WHERE id = 1 AND n = 'one'; COMMIT"),
}


def scenario(s):
    for case, (key, change) in CASES.items():
        s.source.run("DROP TABLE IF EXISTS public.a;" + OLD.format(key=key))
        s.target.run(NEW)
        migration = s.migration(FLOWS, name="moment")
        migration.start()
        migration.wait_for("lag-zero")
        s.source.run("UPDATE public.a SET n = n || '!' WHERE id = 1; DELETE FROM public.a WHERE id = 2;"
                     "INSERT INTO public.a VALUES (2, 'two')")
        s.source.run(change)
        migration.ended(EXIT_CONFLICT)
        rows = s.target.rows("SELECT id, n FROM app.a ORDER BY id")
        if rows != [(1, "one!"), (2, "two")] or "duplicate key" not in migration.log_text():
            raise Failed(f"{case}: {rows}")
        migration.command("abort")
