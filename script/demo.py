"""The demo's course of events; script/demo calls it when the program is built."""
import argparse
import contextlib
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))

from harness import compare, processes, servers  # noqa: E402
from harness.flow import flows_of  # noqa: E402
from harness.migration import Migration  # noqa: E402
from harness.processes import Failed, until  # noqa: E402

SCALE = 20         # two million accounts
RATE = 200         # transactions a second, all the time
CLIENTS = 4
WATCHED = 15       # seconds of traffic with the stream level, before the cutover
LONGEST_PAUSE = 250  # ms that the application may wait

SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min",
            "work_mem": "256MB"}


class Display:
    """One line a stage: redrawn on a terminal, now and then a new one elsewhere."""
    QUIET = 3  # seconds between lines where there is no terminal

    def __init__(self, out):
        self.out = out
        self.terminal = out.isatty()
        self.spoke = 0.0

    def progress(self, stage, done, text):
        if self.terminal:
            filled = round(30 * done)
            self.out.write(f"\r\033[K  {stage:9} {'█' * filled}{'░' * (30 - filled)}"
                           f" {done:4.0%}  {text}")
        elif time.monotonic() - self.spoke >= self.QUIET:
            self.out.write(f"  {stage:9} {done:4.0%}  {text}\n")
            self.spoke = time.monotonic()
        self.out.flush()

    def say(self, stage, text):
        self.out.write(f"{chr(13) + chr(27) + '[K' if self.terminal else ''}"
                       f"  {stage:9} {text}\n")
        self.out.flush()


def bytes_text(count):
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            return f"{count:.0f} {unit}"
        count /= 1024


def pgbench(database, *options):
    return [os.path.join(servers.bindir(), "pgbench"), *options, "-h", database.server.directory,
            "-p", "5432", "-U", "postgres", database.name]


class Traffic:
    """pgbench's TPC-B at a fixed rate, until the freeze ends it."""

    def __init__(self, database, directory):
        self.log = os.path.join(directory, "pgbench.log")
        with open(self.log, "w") as log:
            self.process = processes.start(
                pgbench(database, "-n", "-c", str(CLIENTS), "-j", "2", "-R", str(RATE),
                        "-T", "900"), stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        processes.kill9(self.process)

    def text(self):
        with open(self.log) as log:
            return log.read()

    def must_run(self):
        if self.process.poll() is not None:
            raise Failed(f"pgbench ended too early:\n{self.text()[-2000:]}")

    def until_frozen(self, migration):
        """Every client stops at its first write after the switch; returns what they saw."""
        until(lambda: self.process.poll() is not None, "pgbench ends at the freeze", 30)
        seen = re.findall(rf"ERROR: .*{migration.name}.*", self.text())
        if len(seen) != CLIENTS:
            raise Failed(f"{len(seen)} of {CLIENTS} clients saw the freeze:\n{self.text()[-2000:]}")
        return seen

    def transactions(self):
        found = re.search(r"actually processed: (\d+)", self.text())
        return int(found.group(1)) if found else 0


def migration_file(directory, decoder):
    """The committed file; with another decoder, a copy that names it."""
    path = os.path.join(HERE, "demo.yaml")
    if decoder == "pgoutput":
        return path
    with open(path) as f:
        text = f.read()
    path = os.path.join(directory, "demo.yaml")
    with open(path, "w") as f:
        f.write(text.replace("jobs: 2\n", f"jobs: 2\ndecoder: {decoder}\n"))
    return path


def old_schema(display, database):
    began = time.monotonic()
    subprocess.run(pgbench(database, "-i", "-q", "-s", str(SCALE), "-I", "dtGvp"), check=True,
                   capture_output=True)
    display.say("old", f"pgbench's tables, {SCALE * 100_000:,} accounts,"
                       f" made in {time.monotonic() - began:.0f} s")


def lag_text(status):
    return f"lag {bytes_text(status['lag_bytes'] or 0)}, {status['lag_seconds'] or 0:.2f} s"


def watch_copy(display, migration, traffic):
    """Until every chunk is copied; returns the status then."""
    began = time.monotonic()
    while True:
        migration.must_run()
        traffic.must_run()
        if migration.phase() is not None:
            status = migration.status()
            if status["phase"] not in ("prepare", "copy"):
                break
            chunks = sum(table["chunks"] for table in status["tables"])
            done = sum(table["chunks_done"] for table in status["tables"])
            rate = status["rows_copied"] / (time.monotonic() - began)
            display.progress("copy", done / max(chunks, 1),
                             f"{status['rows_copied']:,} rows, {rate:,.0f} a second")
        time.sleep(0.2)
    seconds = status["copy_seconds"]
    display.say("copy", f"{status['rows_copied']:,} rows in {seconds:.1f} s,"
                        f" {status['rows_copied'] / max(seconds, 0.001):,.0f} a second")
    return status


def watch_stream(display, migration, traffic):
    """To lag zero, and some time longer; returns the last status and the lags seen."""
    began = time.monotonic()
    migration.wait_for("lag-zero", 120)
    display.say("stream", f"lag zero {time.monotonic() - began:.1f} s after the copy")
    began, first, lags = time.monotonic(), migration.status(), []
    while (passed := time.monotonic() - began) < WATCHED:
        traffic.must_run()
        migration.must_run()
        status = migration.status()
        lags.append(status["lag_seconds"] or 0)
        display.progress("stream", passed / WATCHED,
                         f"{status['changes_applied']:,} changes, {lag_text(status)}")
        time.sleep(0.2)
    rate = (status["changes_applied"] - first["changes_applied"]) / passed
    display.say("stream", f"{status['changes_applied']:,} changes of"
                          f" {status['transactions_applied']:,} transactions, {rate:,.0f} changes"
                          f" a second now, {lag_text(status)}, highest {max(lags):.2f} s")
    return status


def cut_over(display, migration, traffic):
    display.say("cutover", "asked for, traffic running")
    migration.command("cutover")
    seen = traffic.until_frozen(migration)
    status = migration.status()
    display.say("cutover", f"write pause {status['write_pause_ms']:.0f} ms")
    display.say("traffic", f"{traffic.transactions():,} transactions of the old application;"
                           f" then {len(seen)} clients saw the freeze:")
    display.say("", f"  {seen[0]}")
    return status


def compared(display, migration):
    """True when each target has exactly what the SELECT over its source gives."""
    same = True
    for flow in migration.flows:
        display.progress("compare", migration.flows.index(flow) / len(migration.flows), flow.target)
        lines = compare.differences(migration.source, migration.target, [flow])
        rows = migration.target.value(f"SELECT count(*) FROM {flow.target}")
        display.say("compare", "\n            ".join(lines) if lines else
                    f"{flow.source} -> {flow.target}: {rows:,} rows, equal")
        same = same and not lines
    return same


def summary(display, status, same):
    pause = status["write_pause_ms"]
    print()
    display.say("copied", f"{status['rows_copied']:,} rows in {status['copy_seconds']:.1f} s")
    display.say("streamed", f"{status['changes_applied']:,} changes of"
                            f" {status['transactions_applied']:,} transactions")
    display.say("pause", f"{pause:.0f} ms without writes"
                         f" (at most {LONGEST_PAUSE} ms wanted)")
    display.say("result", "identical" if same else "DIFFERENT")
    return same and pause <= LONGEST_PAUSE


def demo(display, directory, decoder, stack):
    source, target = servers.start_all(stack, directory, ["old", "new"], durable=True,
                                       settings=SETTINGS)
    old, new = source.database("shop"), target.database("shop")
    servers.define_services(directory, **{"demo-old": old, "demo-new": new})
    old_schema(display, old)
    with open(os.path.join(HERE, "demo.sql")) as f:
        new.run(f.read())

    path = migration_file(directory, decoder)
    migration = Migration(directory, old, new, flows_of(path), file=path)
    traffic = stack.enter_context(Traffic(old, directory))
    display.say("traffic", f"pgbench TPC-B, {RATE} transactions a second, {CLIENTS} clients")
    stack.callback(migration.finish_run)
    try:
        migration.check()
        display.say("check", f"{os.path.relpath(path)}: nothing in the way")
        migration.start()
        watch_copy(display, migration, traffic)
        watch_stream(display, migration, traffic)
        status = cut_over(display, migration, traffic)
        return summary(display, status, compared(display, migration))
    except Failed:
        print("\n--- run\n" + "\n".join(migration.log_text().splitlines()[-40:]), file=sys.stderr)
        raise


def main():
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--decoder", choices=["pgoutput", "wal2json"], default="pgoutput")
    options = parser.parse_args()
    processes.forget_client_settings()
    processes.exit_on_signals()
    display = Display(sys.stdout)
    began = time.monotonic()
    print("A live bank moves to its new schema\n")
    try:
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(servers.scratch())
            good = demo(display, directory, options.decoder, stack)
    except Failed as e:
        print(f"script/demo: {e}", file=sys.stderr)
        return 1
    display.say("time", f"{time.monotonic() - began:.0f} s in all")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
