#!/usr/bin/python3
"""Holds the source tree to its own rules: who may include whom, and how long is too long."""
import os
import re
import sys

# A room includes itself and what stands to its left; the four siblings never each other.
LEFT = {"core": [], "pg": ["core"]}
SIBLINGS = ["cdc", "transform", "snapshot", "sink"]
LEFT.update({room: ["core", "pg"] for room in SIBLINGS})
LEFT["cutover"] = ["core", "pg", *SIBLINGS]
LEFT["service"] = [*LEFT["cutover"], "cutover"]
LEFT["cli"] = [*LEFT["service"], "service"]

# Libraries that stay behind the room that wraps them.
BEHIND = {
    "libpq-fe.h": lambda path: path.startswith("pg/") or path == "cdc/receiver.c",
    "librdkafka/rdkafka.h": lambda path: False,
    "rdkafka.h": lambda path: False,
    "yaml.h": lambda path: path.startswith("transform/"),
    "pg_query.h": lambda path: path.startswith("transform/"),
}

SAYS_NOTHING = re.compile(r"(utils?|common|helpers?|misc|stuff)\.[ch]$")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
FUNCTION_LINES, FILE_LINES = 60, 600


def include_faults(room, path, number, bracket, included):
    allowed = BEHIND.get(included)
    if allowed is not None and not allowed(path):
        yield f"{path}:{number}: {included} does not belong here"
    if bracket != '"':
        return
    other = included.split("/")[0]
    if other not in LEFT:
        yield f"{path}:{number}: \"{included}\": write it as room/file.h"
    elif other != room and other not in LEFT[room]:
        yield f"{path}:{number}: {room} must not include {included}"


def length_faults(path, lines):
    if len(lines) > FILE_LINES:
        yield f"{path}: {len(lines)} lines, more than {FILE_LINES}"
    opened = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            opened = number
        elif line == "}" and opened:
            if number - opened - 1 > FUNCTION_LINES:
                yield (f"{path}:{opened}: a function of {number - opened - 1} lines,"
                       f" more than {FUNCTION_LINES}")
            opened = None


def file_faults(room, path, root):
    if SAYS_NOTHING.search(path):
        yield f"{path}: a name that says nothing"
    with open(os.path.join(root, path)) as f:
        lines = f.read().splitlines()
    yield from length_faults(path, lines)
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if found:
            yield from include_faults(room, path, number, *found.groups())


def main(root):
    faults = []
    for room in LEFT:
        folder = os.path.join(root, room)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.endswith((".c", ".h")):
                faults += file_faults(room, f"{room}/{name}", root)
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else here))
