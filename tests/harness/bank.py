"""The migration that the hostile scenarios maltreat: one of each thing that can go wrong.

account has a key that moves, long values, a unique column and a sequence; the journal has
no key at the target, so that whatever is applied or copied twice shows as a doubled row.
"""
import psycopg2

from . import values
from .compare import must_equal
from .drain import drain
from .flow import Flow
from .processes import Failed
from .writers import Table

ACCOUNTS, ENTRIES = 30000, 20000

OLD = """
CREATE TABLE public.account (id serial PRIMARY KEY, balance int, note text, body text);
CREATE TABLE public.journal (account int, delta int, note text);
ALTER TABLE public.account ALTER body SET STORAGE EXTERNAL;
INSERT INTO public.account
SELECT i, 0, repeat(md5(i::text), 6), CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 100) END
FROM generate_series(1, {accounts}) i;
INSERT INTO public.journal
SELECT i % 1000, 1, repeat(md5(i::text), 4) FROM generate_series(1, {entries}) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.account (
    id bigserial PRIMARY KEY, balance bigint, note text, content text, UNIQUE (id, balance));
CREATE INDEX account_balance ON app.account (balance, id);
CREATE TABLE app.journal (account bigint, delta bigint, note text);
CREATE INDEX journal_account ON app.journal (account);
"""

FLOWS = [
    Flow("public.account", "app.account", key=("id",), select="""
        SELECT id::bigint AS id, balance::bigint AS balance, note, body AS content FROM old
    """),
    Flow("public.journal", "app.journal", insert_only=True, select="""
        SELECT account::bigint AS account, delta::bigint AS delta, note FROM old
    """),
]


def tables(keys):
    """What writers write, to accounts up to that key."""
    return [
        Table("public.account", {"id": values.up_to(keys)},
              {"balance": values.integer, "note": values.maybe(values.text),
               "body": values.maybe(values.long_text)}),
        Table("public.journal", {"account": values.up_to(1000)},
              {"delta": values.small, "note": values.text}, unique=False, changes=("insert",)),
    ]


TABLES = tables(ACCOUNTS + 5000)


COPIED = """
SELECT relation, no, lg::text, rows, copied_at::text FROM pgcrossfade.chunk_copied
 WHERE migration = %s AND relation LIKE '%%account%%'
"""


def create(s, accounts=ACCOUNTS, entries=ENTRIES):
    """Both schemas anew."""
    s.source.run("DROP TABLE IF EXISTS public.account, public.journal CASCADE")
    s.target.run("DROP SCHEMA IF EXISTS app CASCADE")
    s.source.run(OLD.format(accounts=accounts, entries=entries))
    s.target.run(NEW)


class Chunks:
    """A committed chunk of a table with a key stays: it is not copied again."""

    def __init__(self, migration):
        self.migration = migration
        self.kept = set()

    def check(self):
        if not self.migration.chunks_copied():
            return
        now = set(self.migration.target.rows(COPIED, [self.migration.name]))
        if not self.kept <= now:
            raise Failed(f"copied again: {sorted(self.kept - now)}")
        self.kept = now


def must_be_switched(s, migration):
    """All is at the target, and the old tables are frozen."""
    must_equal(migration)
    for table in ("account", "journal"):
        try:
            s.source.run(f"DELETE FROM public.{table}")
        except psycopg2.Error as e:
            if "frozen" not in str(e):
                raise
        else:
            raise Failed(f"public.{table} takes writes after the switch")


def must_take_writes(s, migration):
    """Fully before the switch: nothing of it is left, and the stream goes on."""
    left = s.source.rows("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    if left:
        raise Failed(f"left behind: {left}")
    s.source.run("UPDATE public.account SET note = 'after a failed cutover' WHERE id < 10;"
                 "INSERT INTO public.journal VALUES (1, 1, 'after a failed cutover')")
    drain(migration)
    must_equal(migration)


def streaming(s, **sizes):
    """A migration that has reached lag zero."""
    create(s, **sizes)
    migration = s.migration(FLOWS)
    migration.start()
    migration.wait_for("lag-zero")
    return migration


def stopped(s, **sizes):
    """A migration that has reached the stream, and whose run has ended."""
    migration = streaming(s, **sizes)
    migration.terminate()
    return migration


def behind(s, migration):
    """Bytes of WAL that the slot has still to send."""
    return int(s.source.value("SELECT pg_current_wal_flush_lsn() - confirmed_flush_lsn"
                              " FROM pg_replication_slots WHERE slot_name = %s", [migration.slot]))
