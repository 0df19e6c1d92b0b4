"""Threads that work beside a scenario, and are stopped and joined on every way out of it."""
import threading

from .processes import Failed


class Crew:
    """with Crew(make, count): ... ; make(number, stopping) is a thread that ends soon after stopping is
    set, and leaves what went wrong in its attribute broken."""

    def __init__(self, make, count):
        self.stopping = threading.Event()
        self.threads = [make(number, self.stopping) for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def check(self):
        for thread in self.threads:
            if thread.broken is not None:
                raise Failed(f"{thread.name}: {thread.broken!r}")
