#!/usr/bin/python3
"""Holds docs/troubleshooting.md against the messages in the sources: each has its entry, each entry its message.

    tests/message_rule.py [--list]

A message is the format that one of MESSAGES is called with, the places of its values written as
`...`. An entry is a code span in the first cell of a row: its words, with `...` for what varies,
stand in the message in that order. One entry may cover several messages, and a message that is
only passed on ("%s") has its words elsewhere. Rows under a heading that begins with "PostgreSQL"
are of the server's own messages. --list prints the messages without an entry, for pasting.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "troubleshooting.md")
ROOMS = ["core", "pg", "cdc", "transform", "snapshot", "sink", "cutover", "service", "cli"]

# Who is given a message, and which argument it is.
MESSAGES = {
    "err_set": 2, "place_err": 3, "check_fail": 2, "check_warn": 2, "check_fail_at": 3,
    "check_warn_at": 3, "check_fail_select": 3, "usage_error": 0, "shape_refuse": 2, "refuse": 2,
}
# Whose texts become part of a message: they need no entry, but may have one.
PARTS = {"arena_printf": 1, "err_wrap": 1}
LEVELS = {"finding_add": (2, 4), "finding_vadd": (2, 5)}  # level, message

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\'|\w+|\S', re.DOTALL)
VALUE = re.compile(r"%[-+ #0-9.*]*(?:hh|h|ll|l|z|j|t)?[a-zA-Z]|%(?=\0)")
ESCAPES = {r"\"": '"', r"\\": "\\", r"\n": " ", r"\t": " "}


def tokens(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for found in TOKEN.finditer(text):
        if not found.group().startswith(("//", "/*")):
            yield found.group(), text.count("\n", 0, found.start()) + 1


def arguments(stream, at):
    """The arguments of the call whose ( is stream[at], each a list of tokens."""
    depth, out = 0, [[]]
    for token, _ in stream[at:]:
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth -= 1
        if depth == 0:
            return out
        if token == "," and depth == 1:
            out.append([])
        elif not (token == "(" and depth == 1):
            out[-1].append(token)
    return out


def unquote(literal):
    return re.sub(r'\\.', lambda m: ESCAPES.get(m.group(), m.group()), literal[1:-1])


def texts(argument):
    """The formats in an argument: more than one where ?: chooses."""
    out, current = [], None
    for token in argument:
        if token.startswith('"'):
            current = (current or "") + unquote(token)
        elif token.startswith("PRI"):
            current = (current or "") + "\0"  # the conversion's letter is in the macro
        elif current is not None:
            out.append(current)
            current = None
    return out + ([current] if current is not None else [])


def words(text):
    """With ... for each value; values that touch are one."""
    text = VALUE.sub("...", text.replace("%%", "%\1")).replace("\0", "").replace("%\1", "%")
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\.{4,}", "...", text)


def call_texts(name, given):
    if name in PARTS:
        which = PARTS[name]
    elif name in LEVELS:
        level, which = LEVELS[name]
        if level < len(given) and "FINDING_PASS" in given[level]:
            return []
    else:
        which = MESSAGES[name]
    return texts(given[which]) if which < len(given) else []


def said_at(stream, at, callers):
    """The texts that the token at this place says: it calls one of callers, or is an answer's text."""
    token, after = stream[at][0], stream[at + 1][0]
    if token in callers and after == "(":
        return call_texts(token, arguments(stream, at + 1))
    if token == "text" and after == "=" and "err_set" in callers:
        return texts([token for token, _ in stream[at + 2:at + 3]])
    return []


def messages(callers):
    """(words, file:line) of each text given to callers that says something of its own."""
    for room in ROOMS:
        folder = os.path.join(ROOT, room)
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".c"):
                continue
            stream = list(tokens(os.path.join(folder, name)))
            for at, (_, line) in enumerate(stream[:-1]):
                for text in said_at(stream, at, callers):
                    said = words(text)
                    if re.search(r"[A-Za-z]{3}", said.replace("...", "")):
                        yield said, f"{room}/{name}:{line}"


def pattern(entry):
    pieces = [re.escape(piece.strip()) for piece in entry.split("...") if piece.strip()]
    return re.compile(".*".join(pieces)) if pieces else None


def first_cell(row):
    """Bars in code spans are written \\| in a table."""
    return re.split(r"(?<!\\)\|", row)[1].replace("\\|", "|")


def entries():
    """(entry, line, whether it is the server's) of the page's tables."""
    server = False
    with open(PAGE, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if line.startswith("#"):
                server = line.lstrip("# ").startswith("PostgreSQL")
            if line.startswith("|"):
                for entry in re.findall(r"`` (.+?) ``|`([^`]+)`", first_cell(line)):
                    yield entry[0] or entry[1], number, server


def main(only_list):
    said = list(messages(MESSAGES.keys() | LEVELS.keys()))
    parts = list(messages(PARTS))
    ours = [(pattern(entry), entry, line) for entry, line, server in entries() if not server]
    missing = [(text, place) for text, place in said
               if not any(p and p.search(text) for p, _, _ in ours)]
    stale = [(entry, line) for p, entry, line in ours
             if not p or not any(p.search(text) for text, _ in said + parts)]
    if only_list:
        print(*(f"{place}\t{text}" for text, place in missing), sep="\n")
        return 0
    for text, place in missing:
        print(f"{place}: no entry in docs/troubleshooting.md for: {text}")
    for entry, line in stale:
        print(f"docs/troubleshooting.md:{line}: no message in the sources has: {entry}")
    if len(said) < 100:
        print(f"only {len(said)} messages found: the sources are not read as they are written")
    return 1 if missing or stale or len(said) < 100 else 0


if __name__ == "__main__":
    sys.exit(main("--list" in sys.argv[1:]))
