"""Child processes that never outlive us, and waiting with a deadline.

Every child is started with a parent-death signal, so that even `kill -9` of the test
leaves nothing behind. The signal follows the starting thread: start children from the
main thread only.
"""
import os
import signal
import subprocess
import sys
import threading
import time

SERVER_USER = "postgres"  # who runs servers when we are root, which PostgreSQL refuses


class Failed(AssertionError):
    """What a scenario reports: the text is for a person."""


def forget_client_settings():
    """No PGHOST, PGSERVICE or PGOPTIONS of the caller's reaches a test."""
    for name in list(os.environ):
        if name.startswith("PG") and not name.startswith("PGCROSSFADE_"):
            del os.environ[name]


def exit_on_signals():
    """SIGINT, SIGTERM and SIGHUP end us by way of every `with` and `finally`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def start(command, death="KILL", as_server=False, **popen):
    """subprocess.Popen of command, which gets `death` when we die."""
    assert threading.current_thread() is threading.main_thread()
    command = ["setpriv", "--pdeathsig", death, "--", *command]
    if as_server and os.geteuid() == 0:
        command[1:1] = ["--reuid", SERVER_USER, "--regid", SERVER_USER, "--init-groups"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, **popen)


def children(pid):
    """Processes whose parent is pid."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(entry))
    return found


def kill9(process, with_children=False):
    """SIGKILL to a process that we started; returns when it is gone."""
    also = children(process.pid) if with_children else []
    if process.poll() is None:
        process.kill()
    for pid in also:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in also), "children gone", 30)


def until(condition, what, seconds=30, every=0.02, alive=lambda: None):
    """Waits until condition() is true and returns what it returned.

    alive() is called between tries and raises when waiting longer is pointless.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        alive()
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not after {seconds} s")
        time.sleep(every)
