"""Cutovers under eight clients that commit as fast as they can: what they saw is there.

Each client remembers what it saw committed. After the switch exactly that is at the new
tables, and nothing more comes into the old ones. Before some of the cutovers somebody is in
the way: then it gives up in time, says who, and nobody waited longer than lock_timeout.
"""
import time

from harness.clients import Clients
from harness.compare import must_equal
from harness.flow import Flow
from harness.migration import EXIT_BAD
from harness.processes import Failed

ROUNDS = (3, 20)

OLD = """
DROP TABLE IF EXISTS public.entry, public.counter CASCADE;
CREATE TABLE public.entry (client int, seq int, PRIMARY KEY (client, seq));
CREATE TABLE public.counter (client int PRIMARY KEY, seq int);
INSERT INTO public.counter SELECT i, 0 FROM generate_series(0, 7) i;
"""

NEW = """
DROP SCHEMA IF EXISTS app CASCADE;
CREATE SCHEMA app;
CREATE TABLE app.entry (client bigint, seq bigint, PRIMARY KEY (client, seq));
CREATE TABLE app.counter (client bigint PRIMARY KEY, seq bigint);
"""

FLOWS = [
    Flow("public.entry", "app.entry", key=("client", "seq"), select="""
        SELECT client::bigint AS client, seq::bigint AS seq FROM old
    """),
    Flow("public.counter", "app.counter", key=("client",), select="""
        SELECT client::bigint AS client, seq::bigint AS seq FROM old
    """),
]

LOCK_TIMEOUT, MAX_PAUSE, TRIES = 0.3, 10, 2
MORE = (f"cutover: {{lock_timeout: {int(LOCK_TIMEOUT * 1000)}ms, max_pause: {MAX_PAUSE}s,"
        f" tries: {TRIES}, max_lag: 64MB}}")
SLACK = 2  # seconds, of a machine that has other things to do
GIVES_UP = 20


def must_give_up(migration, clients, wanted):
    clients.more(50)
    clients.forget_waits()
    began = time.monotonic()
    outcome = migration.command("cutover", expect=EXIT_BAD)
    took = time.monotonic() - began
    for text in wanted:
        if text not in outcome.text:
            raise Failed(f"the refusal does not name {text}:\n{outcome.text}")
    clients.more(50)
    print(f"gave up after {took:.1f} s, longest wait {clients.longest_wait:.2f} s")
    if took > GIVES_UP:
        raise Failed(f"giving up took {took:.0f} s")
    if clients.longest_wait > LOCK_TIMEOUT + SLACK:
        raise Failed(f"a client waited {clients.longest_wait:.1f} s")


def a_session_in_the_way(s, migration, clients):
    blocker = s.source.connect(options="-c application_name=sleeper")
    blocker.cursor().execute("INSERT INTO public.counter VALUES (100, 1)")
    must_give_up(migration, clients, [f"pid {blocker.info.backend_pid}", "user postgres",
                                      "transaction age", "query age"])
    blocker.rollback()
    blocker.close()


def a_prepared_transaction_in_the_way(s, migration, clients):
    blocker = s.source.connect()
    blocker.cursor().execute("INSERT INTO public.counter VALUES (101, 1)")
    blocker.cursor().execute("PREPARE TRANSACTION 'left lying'")
    blocker.close()
    must_give_up(migration, clients, ["left lying", "user postgres", "age"])
    s.source.run("ROLLBACK PREPARED 'left lying'")


IN_THE_WAY = [None, a_session_in_the_way, a_prepared_transaction_in_the_way]


def must_have_seen(s, clients):
    """Exactly what each client saw committed is at the new tables."""
    entries = dict(s.target.rows("SELECT client, array_agg(seq ORDER BY seq) FROM app.entry"
                                 " GROUP BY client"))
    counters = dict(s.target.rows("SELECT client, seq FROM app.counter"))
    for client, seen in clients.seen:
        if entries.get(client) != list(range(1, seen + 1)) or counters[client] != seen:
            raise Failed(f"client {client} saw {seen} commits; the new tables have "
                         f"{len(entries.get(client, []))}, counter {counters[client]}")


def cut_over(s, migration, clients):
    clients.more(200)
    clients.forget_waits()
    said = migration.command("cutover").out.strip()
    clients.until_frozen()
    print(f"{clients.commits} commits; {said}; longest wait {clients.longest_wait:.2f} s")
    if clients.longest_wait > MAX_PAUSE + LOCK_TIMEOUT + SLACK:
        raise Failed(f"a client waited {clients.longest_wait:.1f} s")


def scenario(s):
    for number in range(s.rounds):
        s.source.run(OLD)
        s.target.run(NEW)
        migration = s.migration(FLOWS, name=f"round{number}", more=MORE)
        with Clients(s.source) as clients:
            clients.more(50)
            migration.start()
            migration.wait_for("lag-zero")
            in_the_way = IN_THE_WAY[number % len(IN_THE_WAY)]
            if in_the_way:
                in_the_way(s, migration, clients)
            cut_over(s, migration, clients)
        clients.check()
        must_have_seen(s, clients)
        must_equal(migration)
        migration.command("complete")
        migration.ended(0)
