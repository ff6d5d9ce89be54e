"""The lines that a choice owns: what a project has with it, and not without it."""

import ast
import difflib
from dataclasses import dataclass

from litgen_torch.compare import changed
from litgen_torch.render import Tree


@dataclass(frozen=True)
class Piece:
    """Lines of one file that come with a choice.

    `lines` are as the template has them, each with its number in the owner's file: None where it is
    not there as litgen wrote it. `instead` are those that stand in their place without the choice.
    """

    path: str
    lines: tuple[tuple[int | None, str], ...]
    instead: tuple[str, ...] = ()
    whole: bool = False  # the file itself comes with the choice


def owned(without: Tree, having: Tree, mine: Tree) -> list[Piece]:
    """What a choice brings to a project, file by file, and where the owner has it."""
    pieces = []
    for path in sorted(changed(without, having), key=_is_beside):
        texts = [tree.get(path, "").split("\n") for tree in (without, having, mine)]
        if path not in having:
            continue
        numbers = _numbers(texts[1], texts[2] if path in mine else [])
        if path not in without:
            lines = [*zip(numbers, texts[1], strict=True)][: -1 if texts[1][-1] == "" else None]
            pieces.append(Piece(path, tuple(lines), whole=True))
            continue
        matcher = difflib.SequenceMatcher(None, texts[0], texts[1], autojunk=False)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes():
            if tag in ("insert", "replace"):
                j1 = _with_its_comment(texts[1], j1) if path.endswith(".py") else j1
                lines = [*zip(numbers[j1:j2], texts[1][j1:j2], strict=True)]
                pieces.append(Piece(path, tuple(_trimmed(lines)), tuple(texts[0][i1:i2])))
    return pieces


def _is_beside(path: str) -> bool:
    """Whether a file is not code that trains; such comes after it."""
    return path.endswith(".md") or path.startswith("tests/")


def purpose(text: str) -> str:
    """The first sentence of a Python file's docstring, in one line."""
    try:
        docstring = ast.get_docstring(ast.parse(text)) or ""
    except SyntaxError:
        return ""
    return " ".join(docstring.split("\n\n")[0].split())


def _numbers(theirs: list[str], mine: list[str]) -> list[int | None]:
    """For each line of the template, its number in the owner's file; indentation does not count."""
    found: list[int | None] = [None] * len(theirs)
    old, own = ([line.strip() for line in side] for side in (theirs, mine))
    matcher = difflib.SequenceMatcher(None, old, own, autojunk=False)
    for start, there, length in matcher.get_matching_blocks():
        for offset in range(length):
            found[start + offset] = there + offset + 1
    return found


def _with_its_comment(lines: list[str], start: int) -> int:
    """Where a piece begins, if what stands above it is a comment on it."""
    while start > 0 and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _trimmed(lines: list[tuple[int | None, str]]) -> list[tuple[int | None, str]]:
    """Without blank lines at either end."""
    while lines and not lines[0][1].strip():
        lines = lines[1:]
    while lines and not lines[-1][1].strip():
        lines = lines[:-1]
    return lines
