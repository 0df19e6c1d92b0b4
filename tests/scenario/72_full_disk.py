"""The target's disk is full, while copying and while streaming: run says so, waits, goes on.

The new tables lie in a tablespace on a file system of a few megabytes that only the target
server sees. Where user namespaces are not allowed there is no such disk, and nothing is shown.
"""
from harness import bank, servers
from harness.compare import must_equal
from harness.drain import drain
from harness.processes import Failed, until

ROUNDS = (1, 3)

SERVER_OPTIONS = {"target": {"small_disk": 96 << 20}}

FULL = "No space left on device"
BLOCK = 8192  # a row of the ballast fills one

BALLAST = """
CREATE TABLE IF NOT EXISTS public.ballast (filler text) TABLESPACE small;
ALTER TABLE public.ballast ALTER filler SET STORAGE EXTERNAL;
"""


def fill(s, leave):
    """Until about that many bytes are left."""
    s.target.run(BALLAST)
    size = s.servers[1].small_disk
    while (left := size - leave - s.target.value("SELECT pg_tablespace_size('small')")) > 2 * BLOCK:
        s.target.run("INSERT INTO public.ballast SELECT repeat('x', 7900)"
                     " FROM generate_series(1, %s)", [left // BLOCK // 2])


def make_space(s):
    s.target.run("DROP TABLE public.ballast")
    s.target.run("CHECKPOINT")  # that is when the files go


def must_wait(migration, since):
    """It has said what is wrong, and is still there."""
    until(lambda: FULL in migration.log_text()[since:], "the full disk is noticed",
          alive=migration.must_run)
    said = [line for line in migration.log_text()[since:].splitlines() if FULL in line]
    if not any("event=retry" in line for line in said):
        raise Failed(f"no word of waiting: {said}")


def full_while(s, migration, leave, act):
    since = len(migration.log_text())
    fill(s, leave)
    act()
    must_wait(migration, since)
    make_space(s)
    migration.wait_for("stream")
    drain(migration)
    must_equal(migration)


def write(s, transactions, rows):
    """Rows of 2 kB that do not compress."""
    for n in range(transactions):
        s.source.run("INSERT INTO public.journal SELECT %s, i, (SELECT"
                     " string_agg(md5(i || '-' || j), '') FROM generate_series(1, 60) j)"
                     " FROM generate_series(1, %s) i", [n, rows])


def scenario(s):
    refused = servers.small_disk_refused(s.servers[1].small)
    if refused:
        print(f"SKIPPED: no file system of one's own can be mounted here ({refused})")
        return
    s.target.run("ALTER DATABASE new SET default_tablespace = small")
    s.target.forget()
    bank.create(s)
    migration = s.migration(bank.FLOWS)
    chunks = bank.Chunks(migration)
    full_while(s, migration, 3 << 20, migration.start)
    chunks.check()
    migration.wait_for("lag-zero")
    for _ in range(s.rounds):
        full_while(s, migration, 1 << 20, lambda: write(s, 1, 4000))
        full_while(s, migration, 256 << 10, lambda: write(s, 40, 100))
    chunks.check()
    migration.command("cutover")
    bank.must_be_switched(s, migration)
