"""Each bad migration file has its one message, and creates nothing on either server."""
import glob
import os

from harness.migration import EXIT_CHECK, EXIT_USAGE, REPOSITORY, Migration
from harness.processes import Failed
from harness.servers import define_services

SERVERS = 1
DECODER_MATTERS = False

FOLDER = os.path.join(REPOSITORY, "tests", "bad")


class BadFile(Migration):
    """A file as it lies in tests/bad, run from there so that messages name it shortly."""

    def __init__(self, s, path):
        super().__init__(FOLDER, s.source, s.target, [], file=os.path.basename(path))
        with open(path.removesuffix(".yaml") + ".expected") as f:
            self.expected = f.read().strip()

    def complaints(self):
        """What is wrong with what check and run make of it."""
        checked, run = (self.command(verb, expect=None) for verb in ("check", "run"))
        lines = [line for line in checked.text.splitlines() if line.endswith(self.expected)]
        told = [line for line in checked.text.splitlines()
                if line.startswith(("fail  ", "pgcrossfade: "))]
        refused = {checked.code, run.code} <= {EXIT_USAGE, EXIT_CHECK}
        if len(lines) == 1 and len(told) == 1 and refused:
            return []
        return [f"{self.file}: check exits {checked.code}, run exits {run.code}\n"
                f"  wanted {self.expected}\n  got    {checked.text}"]


def scenario(s):
    define_services(s.directory, pgcrossfade_source=s.source, pgcrossfade_target=s.target)
    with open(os.path.join(FOLDER, "schema.sql")) as f:
        schema = f.read()
    s.source.run(schema)
    s.target.run(schema)

    complaints = []
    paths = sorted(glob.glob(os.path.join(FOLDER, "*.yaml")))
    for path in paths:
        bad = BadFile(s, path)
        complaints += bad.complaints()
        left = bad.traces()
        if left:
            raise Failed(f"{path} left {left}")
    if complaints or len(paths) < 20:
        raise Failed(f"{len(paths)} files\n" + "\n".join(complaints))
