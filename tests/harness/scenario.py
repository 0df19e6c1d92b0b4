"""What a scenario is given: servers, databases, a seed; and what it leaves: nothing."""
import contextlib
import os
import random
import sys

from . import processes, servers
from .compare import must_equal
from .drain import drain
from .migration import Migration
from .processes import Failed
from .writers import LIFETIME, Writers


class Scenario:
    """with Scenario("pgoutput", seed) as s: s.source, s.target, s.migration(flows), ..."""

    def __init__(self, decoder, seed, servers=2, rounds=1, own=None):
        self.decoder = decoder
        self.seed = seed
        self.rounds = rounds
        self.rng = random.Random(seed)
        self.server_names = ["source", "target"][:servers]
        self.own = own  # options of single servers, see start_all
        self.stack = contextlib.ExitStack()
        self.servers, self.migrations = [], []

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.directory = stack.enter_context(servers.scratch())
            self.servers = servers.start_all(stack, self.directory, self.server_names,
                                             own=self.own)
            self.stack = stack.pop_all()
        self.source = self.servers[0].database("old")
        self.target = self.servers[-1].database("new")
        return self

    def __exit__(self, kind, error, _):
        with self.stack:
            complaints = [line for migration in self.migrations
                          for line in migration.finish_run()]
            if complaints or (kind is not None and issubclass(kind, Exception)):
                self.report(complaints)
            if kind is None and complaints:
                raise Failed("a sanitizer complained")

    def report(self, complaints):
        for migration in self.migrations:
            lines = migration.log_text().splitlines()
            shown = lines if complaints else lines[-60:]
            print(f"--- {migration.file}\n{migration.yaml()}"
                  f"--- {migration.name}'s run, last {len(shown)} lines", *shown,
                  sep="\n", file=sys.stderr)
        for server in self.servers:
            print(f"--- server {server.name}\n{server.log_tail()}", file=sys.stderr)
            print(f"--- sessions of {server.name}", *server.sessions(), sep="\n", file=sys.stderr)

    def migration(self, flows, source=None, target=None, **options):
        made = Migration(self.directory, source or self.source, target or self.target, flows,
                         **{"decoder": self.decoder, **options})
        self.migrations.append(made)
        return made

    def streaming(self, old, new, flows, **options):
        """A migration of these tables that has reached lag zero."""
        self.source.run(old)
        self.target.run(new)
        migration = self.migration(flows, **options)
        migration.start()
        migration.wait_for("lag-zero")
        return migration

    def writers(self, tables, database=None, **options):
        options.setdefault("lifetime", LIFETIME * min(self.rounds, 30))
        return Writers(database or self.source, tables, self.rng.randrange(10**6), **options)

    def follow(self, migration, tables, during_copy=50, during_stream=300, seconds=60):
        """The main procedure: copy and stream under random writers, drain, compare."""
        with self.writers(tables) as writers:
            writers.more(during_copy)
            migration.start()
            migration.wait_for("stream", seconds)
            writers.more(during_stream)
            writers.stop()
        drain(migration)
        must_equal(migration)


def main(scenario, **options):
    """Runs one scenario; exit code 0 or 1."""
    processes.forget_client_settings()
    processes.exit_on_signals()
    told = " ".join(f"{name}={value}" for name, value in options.items() if value)
    print(told, flush=True)
    try:
        with Scenario(**options) as s:
            scenario(s)
    except Failed as e:
        print(f"FAILED ({told}): {e}", file=sys.stderr)
        return 1
    return 0


def random_seed():
    return int.from_bytes(os.urandom(3), "big")
