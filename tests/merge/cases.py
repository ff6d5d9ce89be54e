"""Reads the tables in tables/: cases of a merge, each of them base, mine, new and what comes of it.

    === what the case shows
    why it is so, if that is not plain
    --- base
    --- mine
    --- new
    --- merged
    --- refused
    --- accepted

Several versions may share a text (`--- base, new`). A file has the name that its table gives
below, unless one stands behind the version (`--- mine model.py`); `--- mine (none)` is no file.
Without `merged` the owner's file has to stay, and without `accepted` this also is what
comes of it where he accepts what is refused. Pictures stand for characters that are not seen.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from litgen_torch.merge.outcome import Merge, Refusal
from litgen_torch.merge.trees import merge
from litgen_torch.render import Tree

TABLES = sorted((Path(__file__).parent / "tables").glob("*.txt"))
NAMES = {"toml": "pyproject.toml", "text": "notes.txt"}  # of all other tables: train.py
PICTURES = {"␍": "\r", "␌": "\f", "␉": "\t", "␈": "\ufeff", "␠": " ", "␄\n": ""}
VERSIONS = ("base", "mine", "new", "merged", "accepted", "refused", "kept")
HEADER = re.compile(rf"--- ((?:{'|'.join(VERSIONS)})(?:, (?:{'|'.join(VERSIONS)}))*)(?: (\S+))?\n")


@dataclass
class Case:
    """One row of a table."""

    topic: str
    title: str
    base: Tree = field(default_factory=dict)
    mine: Tree = field(default_factory=dict)
    new: Tree = field(default_factory=dict)
    merged: Tree = field(default_factory=dict)
    accepted: Tree = field(default_factory=dict)
    refused: str = ""
    kept: str = ""

    def merge(self, **options: object) -> Merge:
        return merge(self.base, self.mine, self.new, **options)  # type: ignore[arg-type]


def read_cases() -> dict[str, Case]:
    """All cases, by topic and title."""
    found: dict[str, Case] = {}
    for file in TABLES:
        text = file.read_text(encoding="utf-8")
        for part in re.split(r"(?m)^=== ", text)[1:]:
            case = _case(file.stem, part)
            name = f"{case.topic}: {case.title}"
            assert name not in found, f"there are two cases {name!r}"
            found[name] = case
    return found


def said(refusals: tuple[Refusal, ...]) -> str:
    """Refusals as the tables have them."""
    lines = []
    for refusal in refusals:
        place = f" in {refusal.where}" if refusal.where else ""
        lines.append(f"{refusal.path}:{refusal.line}{place}: {refusal.reason}")
        for words, text in (("yours", refusal.yours), ("template", refusal.template)):
            rows = [row for row in text.split("\n") if row.strip()]
            lines += [f"  {words if i == 0 else '':10}{row}" for i, row in enumerate(rows)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _case(topic: str, text: str) -> Case:
    title, _, rest = text.partition("\n")
    case = Case(topic, title)
    _remarks, *parts = HEADER.split(rest)
    seen = set()
    for names, path, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        content = body.rstrip("\n") + "\n" if body.strip("\n") else ""
        for name in names.split(", "):
            seen.add(name)
            if name in ("refused", "kept"):
                setattr(case, name, content)
            elif path != "(none)":
                tree = getattr(case, name)
                file = path or NAMES.get(topic, "train.py")
                assert file not in tree, f"{topic}: {title}: {name} is there twice"
                tree[file] = _characters(content)
    assert {"base", "mine", "new"} <= seen and seen & {"merged", "refused", "kept"}, title
    if "merged" not in seen:
        case.merged = dict(case.mine)
    case.accepted = case.accepted or case.merged
    return case


def _characters(text: str) -> str:
    for picture, character in PICTURES.items():
        text = text.replace(picture, character)
    return text
