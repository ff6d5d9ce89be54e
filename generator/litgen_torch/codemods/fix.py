"""What the templates alone put right: there is nothing of the owner's that has to follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Source
from litgen_torch.codemods.step import Edits


@dataclass(frozen=True)
class Fix:
    """The line `wrong`, where litgen wrote it into the file `target`, is another one by now."""

    target: str
    wrong: str
    kind: ClassVar[str] = "fix"

    def is_due(self, base: Mapping[str, str]) -> bool:
        """Whether litgen wrote it into this project."""
        return self.wrong in base.get(self.target, "")

    def concerns(self, text: str) -> bool:
        return False

    def edit(self, source: Source, others: Others) -> Edits:
        return Edits()
