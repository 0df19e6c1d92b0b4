"""Clients that keep books: each remembers what it saw committed, and how long it waited.

They commit with synchronous_commit = off, as fast as they can, until the freeze stops them.
"""
import threading
import time

import psycopg2

from .crew import Crew
from .processes import Failed, until

OPTIONS = "-c synchronous_commit=off -c log_min_messages=panic"
TRIES_AFTER = 5  # once frozen: none of them may pass


class Client(threading.Thread):
    def __init__(self, database, number, stopping):
        super().__init__(name=f"client-{number}", daemon=True)
        self.database, self.number, self.stopping = database, number, stopping
        self.seen = 0        # the last seq whose commit was answered
        self.longest = 0.0   # seconds, of a transaction that was answered
        self.refused = 0     # by the freeze
        self.broken = None

    def run(self):
        try:
            with self.database.connect(options=OPTIONS) as connection:
                while self.refused < TRIES_AFTER and not self.stopping.is_set():
                    self.step(connection)
            connection.close()
        except Exception as e:  # whatever it is, the scenario reports it
            self.broken = e

    def step(self, connection):
        began = time.monotonic()
        try:
            with connection.cursor() as cursor:
                self.write(cursor, self.seen + 1)
            connection.commit()
        except psycopg2.Error as e:
            if "frozen" not in str(e):
                raise
            connection.rollback()
            self.refused += 1
            return
        if self.refused:
            raise Failed(f"{self.name}: a commit after the freeze")
        self.seen += 1
        self.longest = max(self.longest, time.monotonic() - began)

    def write(self, cursor, seq):
        cursor.execute("INSERT INTO public.entry VALUES (%s, %s)", [self.number, seq])
        cursor.execute("UPDATE public.counter SET seq = %s WHERE client = %s",
                       [seq, self.number])


class Clients(Crew):
    def __init__(self, database, count=8):
        super().__init__(lambda number, stopping: Client(database, number, stopping), count)

    @property
    def commits(self):
        return sum(thread.seen for thread in self.threads)

    def more(self, transactions, seconds=60):
        enough = self.commits + transactions
        until(lambda: self.commits >= enough, f"{transactions} more transactions", seconds,
              alive=self.check)

    def until_frozen(self, seconds=60):
        until(lambda: all(t.refused >= TRIES_AFTER for t in self.threads),
              "every client is refused", seconds, alive=self.check)

    def forget_waits(self):
        for thread in self.threads:
            thread.longest = 0.0

    @property
    def longest_wait(self):
        return max(thread.longest for thread in self.threads)

    @property
    def seen(self):
        return [(thread.number, thread.seen) for thread in self.threads]
