"""Somebody holds a lock: cutover gives up in bounded time, names who, and harms nobody."""
import signal
import time

from harness import values
from harness.compare import must_equal
from harness.flow import Flow
from harness.migration import EXIT_BAD, EXIT_UNREACHABLE
from harness.processes import Failed, until
from harness.writers import Table

OLD = """
CREATE ROLE sleeper LOGIN SUPERUSER;
CREATE TABLE public.stock (id int PRIMARY KEY, amount int);
INSERT INTO public.stock SELECT i, i FROM generate_series(1, 2000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.stock (id bigint PRIMARY KEY, amount bigint);
"""

FLOWS = [Flow("public.stock", "app.stock", key=("id",), select="""
    SELECT id::bigint AS id, amount::bigint AS amount FROM old
""")]

MORE = "cutover: {lock_timeout: 200ms, max_pause: 2s, tries: 4}"
LONGEST = 30  # seconds for four tries, with their pauses and a slow machine

STOCK = Table("public.stock", {"id": values.up_to(2500)}, {"amount": values.maybe(values.small)})


def must_give_up(migration, *wanted):
    began = time.monotonic()
    outcome = migration.command("cutover", expect=EXIT_BAD)
    if time.monotonic() - began > LONGEST:
        raise Failed(f"giving up took {time.monotonic() - began:.0f} s")
    for text in wanted:
        if str(text) not in outcome.text:
            raise Failed(f"the refusal does not name {text}:\n{outcome.text}")


def must_be_unharmed(s, migration, writers):
    migration.until_phase("stream")
    left = s.source.rows("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    if left:
        raise Failed(f"left behind: {left}")
    writers.more(50)
    if writers.freezes:
        raise Failed(f"writers saw {writers.freezes[0]}")


def blocked_by_a_session(s, migration, writers):
    blocker = s.source.connect(user="sleeper")
    with blocker.cursor() as cursor:
        cursor.execute("INSERT INTO public.stock VALUES (100000, 1)")
        must_give_up(migration, blocker.info.backend_pid, "sleeper")
    must_be_unharmed(s, migration, writers)
    blocker.rollback()
    blocker.close()


def blocked_by_a_prepared_transaction(s, migration, writers):
    blocker = s.source.connect()
    with blocker.cursor() as cursor:
        cursor.execute("INSERT INTO public.stock VALUES (100001, 1)")
        cursor.execute("PREPARE TRANSACTION 'forgotten'")
    blocker.close()
    must_give_up(migration, "forgotten")
    must_be_unharmed(s, migration, writers)
    s.source.run("COMMIT PREPARED 'forgotten'")


def taken_back(s, migration, writers):
    """Ctrl-C between two tries: the run leaves it, and says so."""
    blocker = s.source.connect(user="sleeper")
    with blocker.cursor() as cursor:
        cursor.execute("INSERT INTO public.stock VALUES (100002, 1)")
        command = migration.begin("cutover")
        until(lambda: "event=cutover.try " in migration.log_text().rsplit("event=cutover.given_up", 1)[-1],
              "a failed try", 30)
        command.send_signal(signal.SIGINT)
        outcome = migration.finish(command, EXIT_BAD)
    if "withdrawn after" not in outcome.text or "could not be locked" not in outcome.text:
        raise Failed(f"the answer to Ctrl-C: {outcome.text}")
    migration.command("cutover", "--timeout", "1", expect=EXIT_UNREACHABLE)  # time ran out
    blocker.rollback()
    blocker.close()
    must_be_unharmed(s, migration, writers)


ASKING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = 'new' AND application_name LIKE 'pgcrossfade%%' AND backend_start > %s
"""


def unheard(s, migration, writers):
    """Whoever asked loses its connection: the request stands, and is done when the way is free."""
    blocker = s.source.connect(user="sleeper")
    with blocker.cursor() as cursor:
        cursor.execute("INSERT INTO public.stock VALUES (100003, 1)")
        now = s.target.value("SELECT clock_timestamp()")
        command = migration.begin("cutover")
        migration.until_phase("cutover")
        s.target.run(ASKING, [now])
    outcome = migration.finish(command, EXIT_UNREACHABLE)
    if "may still be done" not in outcome.text:
        raise Failed(f"the answer that was not heard: {outcome.text}")
    blocker.rollback()
    blocker.close()
    migration.until_phase("switched")
    writers.until_frozen()


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS, more=MORE)
    with s.writers([STOCK]) as writers:
        migration.start()
        migration.wait_for("lag-zero")
        blocked_by_a_session(s, migration, writers)
        blocked_by_a_prepared_transaction(s, migration, writers)
        taken_back(s, migration, writers)
        unheard(s, migration, writers)
        writers.stop()
    must_equal(migration)
