"""What `.litgen/` says of a project, as text that git can merge.

Two branches that each change a project change other lines, with one between them that neither
does: every answer stands alone, and of a set every choice, there or not. Only the checksums of the
base may differ on both sides, and git then keeps both.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit

from litgen_torch.content import to_bytes

FORMAT = 2
# Line ends stay as they are. Where both sides changed a file, git keeps the lines of both and no
# marker: litgen sees by the checksum that it is neither, and makes the base of the merged answers.
ATTRIBUTES = "* -text\nbase.sha256 merge=union\nbase/** merge=union\n"

Sums = dict[str, set[str]]  # by path; of two branches there may be several


@dataclass(frozen=True)
class Record:
    """A record as it stands there; nothing of it is checked but its form."""

    version: str
    name: str
    answers: Mapping[str, object]
    template: Any = None  # whose it is, if not litgen's own
    sums: Sums | None = None  # they lay in the record itself until format 2


def record_text(
    version: str,
    name: str,
    answers: Mapping[str, Any],
    choices: Mapping[str, Sequence[str]],
    template: Mapping[str, str] | None = None,
) -> str:
    """The record; `choices` are those of each set."""
    slots = {kind: answer for kind, answer in answers.items() if kind not in choices}
    text = _entries({"format": FORMAT, "litgen": version, "name": name})
    if template:
        text += f"\n[template]\n{_entries(template)}"
    text += f"\n[answers]\n{_entries(slots)}"
    for kind in [kind for kind in answers if kind in choices]:
        members = {choice: choice in answers[kind] for choice in sorted(choices[kind])}
        text += f"\n[answers.{kind}]\n{_entries(members)}"
    return text


def read_record(text: str) -> Record:
    """The record that a text holds; raises ValueError, KeyError or TypeError."""
    found = tomllib.loads(text)
    if found["format"] == 1:
        sums = {path: {found["files"][path]} for path in found["files"]}
        return Record(found["litgen"], found["name"], found["answers"], sums=sums)
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']}, expected {FORMAT}")
    if "template" in found:
        return Record(found["litgen"], found["name"], found["answers"], found["template"])
    answers = {kind: _answer(kind, answer) for kind, answer in found["answers"].items()}
    return Record(found["litgen"], found["name"], answers)


def sums_text(tree: Mapping[str, str]) -> str:
    """The checksums of files, as `sha256sum` writes them."""
    return "".join(f"{checksum(tree[path])}  {path}\n" for path in sorted(tree))


def read_sums(text: str) -> Sums:
    """The checksums of each file; what else stands there, such as git's markers, is none."""
    found: Sums = {}
    for line in text.splitlines():
        sum_, _, path = line.partition("  ")
        if len(sum_) == 64 and path:
            found.setdefault(path, set()).add(sum_)
    return found


def checksum(text: str) -> str:
    """What the record calls a text."""
    return hashlib.sha256(to_bytes(text)).hexdigest()


def _entries(table: Mapping[str, Any]) -> str:
    return "\n".join(tomlkit.dumps({key: _inline(value)}) for key, value in table.items())


def _inline(value: Any) -> Any:
    return tomlkit.inline_table() | value if isinstance(value, dict) else value


def _answer(kind: str, answer: object) -> object:
    """One answer: of a set, the choices that are there."""
    if not isinstance(answer, dict):
        return answer
    for choice, is_there in answer.items():
        if not isinstance(is_there, bool):
            raise ValueError(f"{kind}.{choice} is {is_there!r}, expected true or false")
    return [choice for choice, is_there in answer.items() if is_there]
