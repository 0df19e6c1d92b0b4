"""A transaction larger than a step of the backlog's drain is read by SQL all the same.

It is open while others commit, so the first step brings little and its WAL would be read once
more with each step; the next one is long instead. The drain's own log tells how far it came.
"""
import re

from harness import bank
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed

TABLES = bank.tables(30000)


def build(s, writers):
    """Some 60 MB of WAL in one transaction, with others that commit before it, and one that is
    taken back."""
    with s.source.connect() as large:
        with large.cursor() as cursor:
            cursor.execute("INSERT INTO public.journal SELECT i, 7, repeat('l', 300)"
                           " FROM generate_series(1, 60000) i")
            writers.more(50)
            cursor.execute("INSERT INTO public.account SELECT i, i, 'n' FROM generate_series(100001, 120000) i")
            cursor.execute("UPDATE public.account SET balance = 7 WHERE id > 100000 AND id % 2 = 0")
            cursor.execute("SAVEPOINT s")
            cursor.execute("INSERT INTO public.journal SELECT i, 8, repeat('m', 300)"
                           " FROM generate_series(1, 20000) i")
            cursor.execute("ROLLBACK TO SAVEPOINT s")
            cursor.execute("INSERT INTO public.journal SELECT i, 9, repeat('n', 300)"
                           " FROM generate_series(1, 40000) i")
        large.commit()
    large.close()
    writers.more(50)


def drained(log):
    """Bytes of WAL that each drain of the log read."""
    return [int(n) for n in re.findall(r"event=drain\.end .*bytes=(\d+)", log)]


def scenario(s):
    migration = bank.stopped(s, accounts=20000, entries=0)
    with s.writers(TABLES, count=2) as writers:
        build(s, writers)
        writers.stop()
    behind = bank.behind(s, migration)
    migration.start()
    drain(migration)
    must_equal(migration)
    read = drained(migration.log_text())
    print(f"behind: {behind / 1e6:.0f} MB, read by SQL: {[round(n / 1e6) for n in read]} MB")
    if len(read) != 1 or read[0] < behind * 0.9:
        raise Failed(f"of {behind} bytes {read} were read by SQL")
