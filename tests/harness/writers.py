"""Random concurrent writers: every kind of change that a flow must follow.

Each writer is a thread with a connection and a random generator of its own, seeded
from the scenario's seed, so a printed seed gives the same statements again (though
not the same interleaving). Writers are bounded in rate and stopped by stop().
"""
import random
import threading
import time

import psycopg2
from psycopg2 import errors

from .crew import Crew
from .processes import until

TOGETHER = 0.02  # seconds an interleaved transaction stays open
QUIET = "-c log_min_messages=panic"  # refused changes are no news
LIFETIME = 120   # seconds; no writer outlives this, whatever the scenario does


class Table:
    """What writers need to know of a table: its key space and how to fill its columns.

    key        column -> value; () values name rows that may or may not exist
    columns    column -> value
    unique     False: no unique key, inserts may repeat one
    changes    the kinds of change it gets
    """
    ALL = ("insert", "update", "move", "delete", "reinsert")

    def __init__(self, name, key, columns, unique=True, changes=ALL):
        self.name = name
        self.key = key
        self.columns = columns
        self.unique = unique
        self.changes = changes

    def random_key(self, rng):
        return {column: value(rng) for column, value in self.key.items()}

    def where(self, key):
        return " AND ".join(f"{column} = %s" for column in key), list(key.values())

    def change(self, cursor, rng):
        getattr(self, rng.choice(self.changes))(cursor, rng, self.random_key(rng))

    def insert(self, cursor, rng, key):
        row = {**key, **{column: value(rng) for column, value in self.columns.items()}}
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        ignore = " ON CONFLICT DO NOTHING" if self.unique else ""
        cursor.execute(f"INSERT INTO {self.name} ({names}) VALUES ({places}){ignore}",
                       list(row.values()))

    def update(self, cursor, rng, key):
        """One column, or all of them."""
        if not self.columns:
            return
        names = list(self.columns) if rng.random() < 0.3 else [rng.choice(list(self.columns))]
        self._set(cursor, key, {name: self.columns[name](rng) for name in names})

    def move(self, cursor, rng, key):
        """Another key; now and then another value with it."""
        change = self.random_key(rng)
        if self.columns and rng.random() < 0.3:
            name = rng.choice(list(self.columns))
            change[name] = self.columns[name](rng)
        self._set(cursor, key, change)

    def _set(self, cursor, key, change):
        where, values = self.where(key)
        names = ", ".join(f"{name} = %s" for name in change)
        cursor.execute(f"UPDATE {self.name} SET {names} WHERE {where}",
                       [*change.values(), *values])

    def delete(self, cursor, rng, key):
        where, values = self.where(key)
        cursor.execute(f"DELETE FROM {self.name} WHERE {where}", values)

    def reinsert(self, cursor, rng, key):
        """One key deleted and inserted in one transaction."""
        self.delete(cursor, rng, key)
        self.insert(cursor, rng, key)


class Writer(threading.Thread):
    """comes_back: a lost connection is no news, it opens another."""

    def __init__(self, database, tables, seed, rate, stopping, comes_back=False,
                 lifetime=LIFETIME):
        super().__init__(name=f"writer-{seed}", daemon=True)
        self.database, self.tables = database, tables
        self.comes_back, self.lifetime = comes_back, lifetime
        self.rng = random.Random(seed)
        self.pause = 1 / rate
        self.stopping = stopping
        self.commits = self.refused = 0
        self.frozen = None  # the error that ended it
        self.broken = None  # an error nobody expected

    def run(self):
        deadline = time.monotonic() + self.lifetime
        try:
            while not self._session(deadline):
                self.stopping.wait(0.05)
        except Exception as e:  # whatever it is, the scenario reports it
            self.broken = e

    def _session(self, deadline):
        """True: it is over. False: the connection is, and it comes back."""
        connection = None
        try:
            connection = self.database.connect(options=QUIET)
            while self.frozen is None and time.monotonic() < deadline:
                self.step(connection)
                if self.stopping.wait(self.rng.random() * 2 * self.pause):
                    break
            return True
        except psycopg2.Error as e:
            if not self.comes_back or not (e.pgcode or "57").startswith("57"):
                raise
            return self.stopping.is_set()
        finally:
            if connection is not None:
                connection.close()

    def step(self, connection):
        try:
            self.transaction(connection)
            connection.commit()
            self.commits += 1
        except (errors.IntegrityConstraintViolation, errors.UniqueViolation,
                errors.ForeignKeyViolation, errors.CheckViolation, errors.NotNullViolation,
                errors.DeadlockDetected, errors.SerializationFailure):
            connection.rollback()
            self.refused += 1
        except psycopg2.Error as e:
            if "pgcrossfade" not in str(e):
                raise
            connection.rollback()
            self.frozen = e

    def transaction(self, connection):
        rng, kind = self.rng, self.rng.random()
        with connection.cursor() as cursor:
            if kind < 0.5:
                rng.choice(self.tables).change(cursor, rng)
            elif kind < 0.65:
                self.rolled_back_savepoint(cursor)
            elif kind < 0.9:
                self.several_tables(cursor)
            else:  # stays open while others commit
                rng.choice(self.tables).change(cursor, rng)
                self.stopping.wait(TOGETHER)
                rng.choice(self.tables).change(cursor, rng)

    def rolled_back_savepoint(self, cursor):
        rng = self.rng
        cursor.execute("SAVEPOINT here")
        rng.choice(self.tables).change(cursor, rng)
        cursor.execute("ROLLBACK TO here")
        rng.choice(self.tables).change(cursor, rng)
        cursor.execute("SAVEPOINT kept")
        rng.choice(self.tables).change(cursor, rng)
        cursor.execute("RELEASE kept")

    def several_tables(self, cursor):
        for table in self.rng.sample(self.tables, len(self.tables)):
            for _ in range(self.rng.randrange(1, 5)):
                table.change(cursor, self.rng)


class Writers(Crew):
    """with Writers(database, tables, seed): ... ; stopped on every way out."""

    def __init__(self, database, tables, seed, count=3, rate=150, **options):
        super().__init__(lambda number, stopping: Writer(database, tables, seed * 1000 + number, rate,
                                                         stopping, **options), count)

    @property
    def commits(self):
        return sum(thread.commits for thread in self.threads)

    @property
    def freezes(self):
        """The errors that writers saw from the freeze."""
        return [str(thread.frozen) for thread in self.threads if thread.frozen is not None]

    def more(self, transactions, seconds=60):
        """Waits until that many more transactions are committed."""
        enough = self.commits + transactions
        until(lambda: self.commits >= enough, f"{transactions} more transactions", seconds,
              alive=self.check)

    def until_frozen(self, seconds=30):
        until(lambda: len(self.freezes) == len(self.threads), "every writer sees the freeze",
              seconds, alive=self.check)

    def stop(self):
        self.__exit__()
        self.check()
