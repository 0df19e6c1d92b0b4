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

    def complaint(self, verb):
        """What is wrong with what the command says; None for nothing."""
        outcome = self.command(verb, expect=None)
        if outcome.code not in (EXIT_USAGE, EXIT_CHECK):
            return f"{verb} {self.file}: exit {outcome.code}\n{outcome.text}"
        found = [line for line in outcome.text.splitlines() if line.endswith(self.expected)]
        if len(found) != 1:
            return f"{verb} {self.file}:\n  wanted {self.expected}\n  got    {outcome.text}"
        return None


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
        complaints += [said for verb in ("check", "run") if (said := bad.complaint(verb))]
        left = bad.traces()
        if left:
            raise Failed(f"{path} left {left}")
    if complaints or len(paths) < 20:
        raise Failed(f"{len(paths)} files\n" + "\n".join(complaints))
