"""What a codemod is, and what it comes to in one file."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Edit, Source


@dataclass(frozen=True)
class Doubt:
    """A place that a codemod will not touch by itself, because it could only guess."""

    node: ast.AST
    reason: str  # lower case, no full stop
    by_hand: str  # what to write there, before the upgrade


@dataclass
class Edits:
    """The changes of one codemod to one file."""

    text: list[Edit] = field(default_factory=list)
    uses: int = 0  # of what the codemod is about; import statements are not counted
    doubts: list[Doubt] = field(default_factory=list)


class Codemod(Protocol):
    """An edit of every place in which something is used."""

    @property
    def target(self) -> str:
        """The dotted path of what it is about, as the older version calls it."""

    @property
    def kind(self) -> str:
        """What it does, in a word."""

    def is_due(self, base: Mapping[str, str]) -> bool:
        """Whether a project that litgen wrote like this may need it."""

    def concerns(self, text: str) -> bool:
        """Whether a file with this text may need it. Quick: it is asked of every file."""

    def edit(self, source: Source, others: Others) -> Edits:
        """The edits for one file."""


@dataclass(frozen=True)
class Followed:
    """What a step had to do in a project."""

    id: str
    kind: str
    title: str
    old: str
    new: str
    changes_results: str
    calls: dict[str, int] = field(default_factory=dict)  # the owner's own, by path
    corrects: str = ""  # the path of what litgen wrote otherwise


@dataclass(frozen=True)
class Step:
    """A codemod between two versions of litgen."""

    id: str
    title: str
    old: str  # the last version with what it changes
    new: str  # the first without
    codemod: Codemod
    changes_results: str = ""  # how a run may train to other numbers afterwards, in words
