"""What a merge comes to: files, and the places where it refuses."""

from dataclasses import dataclass, field

from litgen_torch.render import Tree


@dataclass(frozen=True)
class Refusal:
    """A place that the owner and the template both changed, or that is gone."""

    path: str
    line: int  # in the owner's file, from 1; 0: the file or the place is gone
    where: str  # "main()", "class Config", or "" at the top of a file
    reason: str  # lower case, no full stop
    yours: str  # what stands there now
    template: str  # what the edit would put there
    by_hand: str = ""  # what to do, where that is known; markers cannot hold such a place


@dataclass(frozen=True)
class Merged:
    """What becomes of one file. With refusals, `text` has the owner's version in those places."""

    text: str
    refusals: tuple[Refusal, ...] = ()
    renames: dict[str, str] = field(default_factory=dict)  # the template's names to the owner's
    kept: tuple[int, ...] = ()  # lines where his words stay although the template changed them


@dataclass(frozen=True)
class Merge:
    """What becomes of a project: every file that it has then, the owner's others among them."""

    tree: Tree
    refusals: tuple[Refusal, ...] = ()
    kept: tuple[str, ...] = ()  # sentences: what stays the owner's although the template changed it
    renames: dict[str, str] = field(default_factory=dict)
