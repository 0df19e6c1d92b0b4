"""A flow of a migration file, as the scenarios write it and the comparer reads it."""
import dataclasses
import json
import re
import textwrap


@dataclasses.dataclass(frozen=True)
class Flow:
    source: str  # as SQL writes it: public.customer, sales."Order"
    target: str
    select: str
    key: tuple = ()
    insert_only: bool = False
    only: bool = False  # not the rows of inheritance children
    owner: tuple = ()
    lookup: bool = False   # SELECT DISTINCT: the target keeps rows that the source lost
    at_target: bool = False  # joins tables of the target: compared there

    def yaml(self):
        lines = [f"  - from: {scalar(self.source)}", f"    to: {scalar(self.target)}"]
        if self.key:
            lines.append(f"    key: [{', '.join(scalar(name) for name in self.key)}]")
        if self.owner:
            lines.append(f"    owner: [{', '.join(scalar(name) for name in self.owner)}]")
        if self.insert_only:
            lines.append("    insert_only: true")
        if self.only:
            lines.append("    only: true")
        lines.append("    select: |")
        text = textwrap.dedent(self.select).strip()
        lines.append(textwrap.indent(text, "      "))
        return "\n".join(lines)


def scalar(text):
    """A YAML scalar: plain where that is surely the same text, else quoted."""
    plain = str(text).replace("_", "").replace(".", "").isalnum()
    return str(text) if plain else json.dumps(str(text), ensure_ascii=False)


# The part of a flow that comparing needs, in a file laid out as yaml() lays it out.
FLOW = re.compile(r"^  - from: (?P<source>.*)\n    to: (?P<target>.*)\n"
                  r"(?:    (?!select:).*\n)*"
                  r"    select: \|\n(?P<select>(?:      .*\n|\n)+)", re.MULTILINE)


def flows_of(path):
    """The flows of a migration file that is written like the demo's, in block style."""
    with open(path) as f:
        text = f.read()
    flows = [Flow(**{name: value.strip() for name, value in found.groupdict().items()})
             for found in FLOW.finditer(text)]
    assert len(flows) == text.count("- from:"), f"{path}: a flow in another layout"
    return flows
