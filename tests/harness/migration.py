"""One migration: its file, its `run` in the background, its commands, what is left of it."""
import dataclasses
import json
import os
import re
import signal
import subprocess

from . import processes
from .flow import Flow, scalar
from .processes import Failed, until

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

EXIT_BAD, EXIT_USAGE, EXIT_CHECK, EXIT_CONFLICT, EXIT_UNREACHABLE = 1, 2, 3, 4, 5

SETTLED = """
SELECT phase FROM pgcrossfade.migration m
 WHERE name = %s AND phase IN ('stream', 'switched') AND NOT EXISTS (
       SELECT FROM pgcrossfade.request WHERE migration = m.name AND state NOT IN ('done', 'failed'))
"""

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:")


def program(build="debug"):
    """release: without sanitizers, which inflate memory; it lies beside the other."""
    path = os.environ.get("PGCROSSFADE_PROGRAM") or os.path.join(
        REPOSITORY, "build", "debug", "pgcrossfade")
    if build != "debug":
        path = os.path.join(os.path.dirname(os.path.dirname(path)), build, "pgcrossfade")
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is not there: script/build {build}, or set PGCROSSFADE_PROGRAM")
    return path


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command came back with."""
    code: int
    out: str
    err: str

    @property
    def text(self):
        return self.out + self.err


class Migration:
    def __init__(self, directory, source, target, flows, name="demo", decoder="pgoutput",
                 more="", file=None, build="debug", **options):
        self.program = program(build)
        self.directory = directory
        self.source, self.target = source, target
        self.flows = flows
        self.name = name
        self.decoder = decoder
        self.more = more
        self.options = {"jobs": 2, "chunk_bytes": "256kB", **options}
        self.log = os.path.join(directory, f"{name}.log")
        self.file = file or self.write(os.path.join(directory, f"{name}.yaml"))
        self.process = None

    # --- the file

    def write(self, path):
        with open(path, "w") as f:
            f.write(self.yaml())
        return path

    def change(self, **options):
        """The file with other options, for the next run."""
        self.options.update(options)
        self.write(self.file)

    def yaml(self):
        head = {"migration": self.name, "source": self.source.conninfo,
                "target": self.target.conninfo, "decoder": self.decoder, **self.options}
        lines = [f"{key}: {scalar(value)}" for key, value in head.items()]
        if self.more:
            lines.append(self.more.strip("\n"))
        lines.append("flows:")
        lines += [flow.yaml() for flow in self.flows]
        return "\n".join(lines) + "\n"

    # --- what it is called on the servers

    @property
    def slot(self):
        return "pgcrossfade_" + self.name.replace("-", "_")

    publication = slot

    # --- commands

    def begin(self, verb, *arguments):
        """Starts a command; finish() waits for it."""
        return processes.start([self.program, verb, self.file, *arguments],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               errors="replace", cwd=self.directory)

    def finish(self, process, expect=0, seconds=60):
        """expect: the exit code, or None for any."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            said = "".join(process.communicate())
            raise Failed(f"{' '.join(process.args[4:])}: no answer in {seconds} s\n{said}") from None
        outcome = Outcome(process.returncode, out, err)
        complaint = SANITIZER.search(outcome.text)
        wrong = expect is not None and outcome.code != expect
        if wrong or complaint or not 0 <= outcome.code <= EXIT_UNREACHABLE:
            raise Failed(f"{' '.join(process.args[4:])}: exit {outcome.code}, wanted {expect}\n"
                         f"{outcome.text}")
        return outcome

    def command(self, verb, *arguments, expect=0, seconds=60):
        return self.finish(self.begin(verb, *arguments), expect, seconds)

    def check(self, expect=0):
        return self.command("check", expect=expect)

    def status(self):
        return json.loads(self.command("status", "--json").out)

    # --- the service

    def start(self):
        if self.process is not None and self.process.poll() is None:
            raise Failed("run is running already")
        with open(self.log, "ab") as log:
            self.process = processes.start([self.program, "run", self.file], stdout=log, stderr=log,
                                           cwd=self.directory)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def peak_memory(self):
        """Bytes that run has had in memory at most."""
        with open(f"/proc/{self.process.pid}/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM:"))
        return int(peak.split()[1]) << 10

    def must_run(self):
        if not self.running:
            raise Failed(f"run ended with exit code {self.process and self.process.returncode}")

    def kill9(self):
        if self.process is not None:
            processes.kill9(self.process)

    def terminate(self, expect=0, seconds=30):
        """SIGTERM; the exit code must be `expect`."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(expect, seconds)

    def ended(self, expect, seconds=30):
        """Waits until run ends by itself."""
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"run did not end in {seconds} s") from None
        if expect is not None and code != expect:
            raise Failed(f"run ended with exit code {code}, wanted {expect}")
        return code

    def finish_run(self):
        """On every way out: nothing of ours stays. Returns what sanitizers said."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill9()
        return [line for line in self.log_text().splitlines() if SANITIZER.search(line)]

    def log_text(self):
        try:
            with open(self.log, errors="replace") as log:
                return log.read()
        except OSError:
            return ""

    # --- waiting

    def wait_for(self, goal, seconds=60):
        """`pgcrossfade wait`: lag-zero or a phase, while run is alive."""
        process = self.begin("wait", "--for", goal, "--timeout", str(seconds))
        try:
            until(lambda: process.poll() is not None, f"wait --for {goal}", seconds + 10,
                  alive=self.must_run)
        except Failed:
            processes.kill9(process)
            raise
        return self.finish(process)

    def phase(self):
        """As the ledger has it; None before there is a ledger."""
        if self.target.value("SELECT to_regclass('pgcrossfade.migration')") is None:
            return None
        rows = self.target.rows("SELECT phase FROM pgcrossfade.migration WHERE name = %s",
                                [self.name])
        return rows[0][0] if rows else None

    def until_phase(self, *phases, seconds=60):
        """Without the program: for places where run is being killed or is down."""
        return until(lambda: (phase := self.phase()) in phases and phase,
                     f"phase {' or '.join(phases)}", seconds)

    def settled(self, alive=lambda: None, seconds=60):
        """Where a cutover that was cut short has come to: stream or switched.

        Whoever asked may have lost its connection; the request stays in the ledger and is
        served a moment later. So the phase says nothing while a request is open.
        """
        def look():
            rows = self.target.rows(SETTLED, [self.name])
            return rows and rows[0][0]
        return until(look, "no request open, phase stream or switched", seconds, alive=alive)

    def chunks_copied(self):
        if self.target.value("SELECT to_regclass('pgcrossfade.chunk_copied')") is None:
            return 0
        return self.target.value(
            "SELECT count(*) FROM pgcrossfade.chunk_copied WHERE migration = %s", [self.name])

    # --- what is left on the servers

    def traces(self):
        """Everything that a migration may have created, by name; [] for nothing."""
        left = []
        for database in {self.source, self.target}:
            left += [f"{database.name}: schema {name}" for (name,) in database.rows(
                "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pgcrossfade%'")]
            left += [f"{database.name}: publication {name}" for (name,) in database.rows(
                "SELECT pubname FROM pg_publication")]
            left += [f"{database.name}: slot {name}" for (name,) in database.rows(
                "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")]
            left += [f"{database.name}: trigger {name} on {table}" for name, table in database.rows(
                "SELECT tgname, tgrelid::regclass::text FROM pg_trigger"
                " WHERE NOT tgisinternal AND tgname LIKE '%%pgcrossfade%%'")]
        return left


__all__ = ["Flow", "Migration", "Outcome", "EXIT_BAD", "EXIT_USAGE", "EXIT_CHECK",
           "EXIT_CONFLICT", "EXIT_UNREACHABLE"]
