#!/usr/bin/python3
"""Holds the man page and the reference of the migration file against what the program prints.

    tests/reference_rule.py PROGRAM [--write]

--write stores what the program prints instead. Where mandoc or man are installed, they must
find nothing to say of the page.
"""
import difflib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "pgcrossfade.1")
REFERENCE = os.path.join(ROOT, "docs", "migration-file.md")
BEGINS = "### top level: "  # the tables are the rest of the page, from here to END
END = "\n## "


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          encoding="utf-8", **more)


def printed(program, what):
    done = run(program, "help", what)
    if done.returncode != 0:
        sys.exit(f"{program} help {what}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def split_reference(text):
    """What stands before the tables, the tables, what follows them."""
    begin = text.index(BEGINS)
    end = text.find(END, begin)
    end = len(text) if end < 0 else end
    return text[:begin], text[begin:end], text[end:]


def difference(path, stored, wanted):
    if stored.strip("\n") == wanted.strip("\n"):
        return []
    name = os.path.relpath(path, ROOT)
    return [f"{name} is not what the program prints; tests/reference_rule.py --write stores it",
            *difflib.unified_diff(stored.splitlines(), wanted.splitlines(), "stored", "printed",
                                  lineterm="")]


def page_faults():
    faults = []
    if shutil.which("mandoc"):
        done = run("mandoc", "-Tlint", "-Wwarning", PAGE)
        faults += [done.stdout + done.stderr] if done.returncode else []
    if shutil.which("man"):
        done = run("man", "--warnings", "-l", "-Tutf8", PAGE,
                   env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
        faults += [done.stderr] if done.stderr.strip() else []
    return faults


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main(program, store):
    page, keys = printed(program, "man"), printed(program, "file")
    before, tables, after = split_reference(read(REFERENCE))
    if store:
        write(PAGE, page)
        write(REFERENCE, before + keys + after)
        return 0
    faults = [*difference(PAGE, read(PAGE), page), *difference(REFERENCE, tables, keys),
              *page_faults()]
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], "--write" in sys.argv[2:]))
