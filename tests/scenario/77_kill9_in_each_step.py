"""kill -9 of run in each step of a cutover: afterwards it is fully before the switch or after it.

Each step is held by a lock of the test's, or by a standby that does not answer, so that
the kill surely falls into it; nothing in the program helps.
"""
import signal

from harness import bank, standby
from harness.processes import Failed, until

ROUNDS = (1, 5)

MORE = "cutover: {lock_timeout: 20s, max_pause: 40s, tries: 2}"

WAITS = """
SELECT count(*) > 0 FROM pg_stat_activity
 WHERE application_name LIKE 'pgcrossfade%%' AND wait_event_type = 'Lock' AND query LIKE %s
"""

ANSWER = "UPDATE pgcrossfade.request%"

TERMINATE = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
 WHERE application_name LIKE 'pgcrossfade%%' AND wait_event_type = 'Lock' AND query LIKE %s
"""

WRITERS_WAIT = """
SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public.account'::regclass AND granted
   AND mode = 'ShareRowExclusiveLock'
"""

SERVES = "SELECT count(*) > 0 FROM pgcrossfade.service WHERE pid = %s"


class Hold:
    """An open transaction; go() ends it. last: a statement that waits for it and is not to be."""

    def __init__(self, database, sql, parameters=None):
        self.database = database
        self.connection = database.connect()
        self.connection.cursor().execute(sql, parameters)
        self.last = None

    def go(self):
        if self.last:
            self.database.run(TERMINATE, [self.last])
        self.connection.commit()
        self.connection.close()


class Step:
    """A cutover that is held somewhere: the holds so far, to be let go one after the other."""

    def __init__(self, s, migration):
        self.s, self.migration = s, migration
        self.asked = None
        self.stopped = False  # the command, until the next run holds the migration

    def served(self):
        """What a run does to the ledger as it comes up is done."""
        until(lambda: self.s.target.value(SERVES, [self.migration.process.pid]),
              "the next run's sign of life", alive=self.migration.must_run)

    def finish_asked(self):
        if self.stopped:
            self.served()
            self.asked.send_signal(signal.SIGCONT)
        self.migration.finish(self.asked, expect=0 if self.stopped else None)

    def held(self, database, query):
        until(lambda: database.value(WAITS, [query]), f"held in {query}",
              alive=self.migration.must_run)

    def at_the_lock(self):
        """A writer is in the way; it leaves a change behind that must be drained."""
        writer = Hold(self.s.source, "UPDATE public.account SET balance = 7 WHERE id <= 3")
        self.asked = self.migration.begin("cutover")
        self.held(self.s.source, "LOCK TABLE%")
        return writer

    def at_the_mark(self):
        """The mark of the switch is the last thing before its commit."""
        mark = Hold(self.s.source, "LOCK TABLE pgcrossfade.switched IN SHARE MODE")
        self.asked = self.migration.begin("cutover")
        self.held(self.s.source, "INSERT INTO pgcrossfade.switched%")
        if not self.s.source.value(WRITERS_WAIT):
            raise Failed("the old tables are not locked")
        return mark


def before_the_lock(step):
    return [step.at_the_lock()]


def barrier_in_wal(step):
    writer = step.at_the_lock()
    standby.hold_commits(step.s.source)
    pid = writer.connection.info.backend_pid
    writer.connection.cursor().execute("SET LOCAL synchronous_commit = local")
    writer.go()
    until(lambda: set(standby.waiting(step.s.source, "%barrier%")) - {pid}, "the barrier waits",
          alive=step.migration.must_run)
    return []


def draining(step):
    writer = step.at_the_lock()
    table = Hold(step.s.target, "LOCK TABLE app.account IN SHARE MODE")
    writer.go()
    until(lambda: step.s.source.value(WRITERS_WAIT), "the lock", alive=step.migration.must_run)
    step.held(step.s.target, "%app%account%")
    return [table]


def advancing_sequences(step):
    sequence = Hold(step.s.target, "ALTER SEQUENCE app.account_id_seq CACHE 1")
    step.asked = step.migration.begin("cutover")
    step.held(step.s.target, "%setval%")
    return [sequence]


def before_the_commit(step):
    return [step.at_the_mark()]


def commit_in_wal(step):
    mark = step.at_the_mark()
    standby.hold_commits(step.s.source)
    mark.go()
    until(lambda: standby.waiting(step.s.source, "COMMIT"), "the switch's commit waits",
          alive=step.migration.must_run)
    return []


def between_commit_and_ledger(step):
    mark = step.at_the_mark()
    ledger = Hold(step.s.target, "LOCK TABLE pgcrossfade.migration IN SHARE MODE")
    mark.go()
    step.held(step.s.target, "UPDATE pgcrossfade.migration%")
    return [ledger]


def before_the_answer(step):
    mark = step.at_the_mark()
    answer = Hold(step.s.target, "LOCK TABLE pgcrossfade.request IN SHARE MODE")
    mark.go()
    step.held(step.s.target, ANSWER)
    if step.migration.phase() != "switched":
        raise Failed("the ledger does not know of the switch yet")
    return [answer]


def before_the_answer_of_a_stopped_command(step):
    """The next run comes up before the command sees that the other is gone."""
    [answer] = before_the_answer(step)
    answer.last = ANSWER
    step.asked.send_signal(signal.SIGSTOP)
    step.stopped = True
    return [answer]


# with what it must have come to; each list is one migration
STEPS = [
    [(before_the_lock, "stream"), (barrier_in_wal, "stream"), (draining, "stream"),
     (advancing_sequences, "stream"), (before_the_commit, "stream"),
     (commit_in_wal, "switched")],
    [(between_commit_and_ledger, "switched")],
    [(before_the_answer, "switched")],
    [(before_the_answer_of_a_stopped_command, "switched")],
]


def kill_in(s, migration, hold_there, wanted):
    step = Step(s, migration)
    migration.wait_for("lag-zero")
    held = hold_there(step)
    migration.kill9()
    for hold in held:
        hold.go()
    migration.start()
    standby.release_commits(s.source)
    step.finish_asked()
    phase = migration.settled(migration.must_run)
    print(f"{hold_there.__name__}: {phase}", flush=True)
    if phase != wanted:
        raise Failed(f"killed {hold_there.__name__}: phase {phase}, wanted {wanted}")
    if phase == "stream":
        bank.must_take_writes(s, migration)
    else:
        bank.must_be_switched(s, migration)


def killed_before_complete_is_said(s, migration):
    """It is done, and whoever asked hears so, without a run."""
    step = Step(s, migration)
    step.served()
    ledger = Hold(s.target, "LOCK TABLE pgcrossfade.migration IN SHARE MODE")
    asked = migration.begin("complete")
    step.held(s.target, "UPDATE pgcrossfade.migration%")
    answer = Hold(s.target, "LOCK TABLE pgcrossfade.request IN SHARE MODE")
    answer.last = ANSWER
    ledger.go()
    step.held(s.target, ANSWER)
    migration.kill9()
    answer.go()
    if "complete" not in migration.finish(asked).out:
        raise Failed("nothing was said of the end")


def scenario(s):
    for number in range(s.rounds):
        for index, steps in enumerate(STEPS):
            bank.create(s, accounts=500, entries=200)
            migration = s.migration(bank.FLOWS, name=f"round{number}-{index}", more=MORE)
            migration.start()
            for hold_there, wanted in steps:
                kill_in(s, migration, hold_there, wanted)
            if len(steps) > 1:
                migration.command("complete")
                migration.ended(0)
            else:
                killed_before_complete_is_said(s, migration)
