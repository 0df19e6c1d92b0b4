"""kill -9 of run while transactions are being applied."""
from .drain import drain


def killed_in_stream(s, migration, writers, points):
    """At each point: started, so many transactions more, sometimes all of them applied, some more, killed."""
    for more in points:
        migration.start()
        migration.wait_for("stream")
        writers.more(more)
        if s.rng.random() < 0.5:
            drain(migration)
        writers.more(s.rng.randrange(1, 20))
        migration.kill9()
