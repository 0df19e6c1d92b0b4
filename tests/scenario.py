#!/usr/bin/python3
"""Runs one scenario: tests/scenario.py 04_bigint_key [--decoder wal2json] [--seed 7] [--soak]

A scenario is tests/scenario/NN_name.py with a function scenario(s); see tests/README.md.
"""
import argparse
import glob
import importlib.util
import os
import sys

from harness import scenario as harness


def find(name):
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenario")
    rest = "_*.py" if name.isdigit() else "*.py"
    found = glob.glob(os.path.join(folder, name.removesuffix(".py") + rest))
    if len(found) != 1:
        sys.exit(f"{name}: {len(found)} scenarios of that name in {folder}")
    return found[0]


def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rounds_of(module, options):
    """A scenario with ROUNDS = (in the suite, in the soak) repeats its hostile part."""
    in_suite, in_soak = getattr(module, "ROUNDS", (1, 1))
    return options.rounds or (in_soak if options.soak else in_suite)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="file name or its start: 04, 04_bigint_key")
    parser.add_argument("--decoder", default=os.environ.get("PGCROSSFADE_DECODER", "pgoutput"),
                        choices=["pgoutput", "wal2json"])
    parser.add_argument("--seed", type=int, default=os.environ.get("PGCROSSFADE_SEED"))
    parser.add_argument("--soak", action="store_true", help="as many rounds as the soak has")
    parser.add_argument("--rounds", type=int, help="that many rounds")
    options = parser.parse_args()
    seed = harness.random_seed() if options.seed is None else options.seed
    module = load(find(os.path.basename(options.name)))
    sys.exit(harness.main(module.scenario, decoder=options.decoder, seed=seed,
                          servers=getattr(module, "SERVERS", 2),
                          own=getattr(module, "SERVER_OPTIONS", None),
                          rounds=rounds_of(module, options)))


if __name__ == "__main__":
    main()
