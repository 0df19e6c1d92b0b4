"""Who uses the old tables while the cutover locks them: transactions that read before they write,
readers of the new tables, which a rename waits for, and autovacuum.
"""
import threading
import time

import psycopg2

from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed, until

SERVERS = 1
DECODER_MATTERS = False

# deadlock_timeout as servers have it; the harness has a shorter one
SERVER_OPTIONS = {"source": {"settings": {"deadlock_timeout": "1s", "autovacuum_naptime": "1s"}}}


VACUUMS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'autovacuum: VACUUM%public.t0%'"


def pair(s, name, options=""):
    s.source.run(f"CREATE TABLE public.{name} (id int PRIMARY KEY, n int) {options};"
                 f"CREATE TABLE public.{name}_next (id bigint PRIMARY KEY, n bigint);"
                 f"INSERT INTO public.{name} SELECT i, 0 FROM generate_series(1, 5000) i")
    return Flow(f"public.{name}", f"public.{name}_next", key=("id",),
                select="SELECT id::bigint AS id, n::bigint AS n FROM old")


def swap(*names):
    return "switch:\n  rename:\n" + "".join(
        f"    - {{table: public.{name}, to: public.{name}_old}}\n"
        f"    - {{table: public.{name}_next, to: public.{name}}}\n" for name in names)


def streaming(s, flows, name, more):
    migration = s.migration(flows, name=name, target=s.source, more=more)
    migration.start()
    migration.wait_for("lag-zero")
    return migration


class Clients:
    """Each reads a row of public.item and writes it, in one transaction, again and again."""

    def __init__(self, s, count):
        self.source, self.stop, self.errors = s.source, False, []
        self.threads = [threading.Thread(target=self.work, args=(k,)) for k in range(1, count + 1)]
        for thread in self.threads:
            thread.start()

    def work(self, key):
        connection = self.source.connect()
        try:
            while not self.stop:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT n FROM public.item WHERE id = %s", [key])
                    time.sleep(0.02)
                    cursor.execute("UPDATE public.item SET n = n + 1 WHERE id = %s", [key])
                connection.commit()
        except psycopg2.Error as e:
            self.errors.append(str(e))
        connection.close()

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise Failed(f"a client saw {self.errors[0]}")


def read_before_write(s):
    migration = streaming(s, [pair(s, "item")], "reads", "cutover: {tries: 2}\n" + swap("item"))
    clients = Clients(s, 8)
    try:
        time.sleep(0.5)
        print(migration.command("cutover").out)
    finally:
        clients.end()
    if s.source.value("SELECT sum(n) FROM public.item") < s.source.value("SELECT sum(n) FROM public.item_old"):
        raise Failed("what was written before the switch is not in the new table")


def read_new_tables(s, migration, names):
    """Each rename waits for a reader, less than lock_timeout each; all of them no longer than max_pause."""
    readers = [s.source.connect() for _ in names]
    for name, reader in zip(names, readers):
        reader.cursor().execute(f"SELECT FROM public.{name}_next LIMIT 1")
    asked = migration.begin("cutover")
    until(lambda: s.source.value("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
                                 " AND NOT granted AND relation = 'public.t0_next'::regclass"), "a rename waits")
    began = time.monotonic()
    waited = []

    def write():
        s.source.run("INSERT INTO public.t3 VALUES (0, 0)")
        waited.append(time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    for reader in readers:
        time.sleep(0.5)
        reader.close()
    writer.join()
    said = migration.finish(asked, EXIT_BAD).text
    print(f"the readers stayed for 2 s, the writer waited for {waited[0]:.1f} s")
    if waited[0] > 1.6 or "not within max_pause (600 ms): rename public.t" not in said:
        raise Failed(said)


def vacuumed(s, migration):
    """Once it has waited for deadlock_timeout, which is over lock_timeout here, the server ends autovacuum."""
    s.source.run("UPDATE public.t0 SET n = 1 WHERE id % 3 = 0")
    until(lambda: s.source.value(VACUUMS), "autovacuum is at work")
    migration.command("cutover", "--timeout", "10")


def crowded(s):
    names = [f"t{i}" for i in range(4)]
    flows = [pair(s, "t0", "WITH (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0,"
                           " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"),
             *(pair(s, name) for name in names[1:])]
    migration = streaming(s, flows, "crowded",
                          "cutover: {lock_timeout: 600ms, max_pause: 600ms, tries: 1}\n" + swap(*names))
    read_new_tables(s, migration, names)
    vacuumed(s, migration)


def scenario(s):
    read_before_write(s)
    crowded(s)
