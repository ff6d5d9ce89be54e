"""The lines that a choice owns: what a project has with it, and not without it."""

import ast
import difflib
from dataclasses import dataclass, replace

from litgen_torch.compare import changed
from litgen_torch.merge.trees import merge
from litgen_torch.render import Tree


@dataclass(frozen=True)
class Piece:
    """Lines of one file that come with a choice.

    `lines` are the owner's, each with its number in his file or, where he has none of them, the
    template's without. `instead` are those that stand in their place without the choice.
    """

    path: str
    lines: tuple[tuple[int | None, str], ...]
    instead: tuple[str, ...] = ()
    whole: bool = False  # the file itself comes with the choice
    changed: bool = False  # the owner made these lines others


def would_bring(without: Tree, having: Tree) -> list[Piece]:
    """What a choice brings to a project that has nothing but litgen's lines."""
    pieces = _pieces(without, having)
    bare = [[(None, text) for _, text in piece.lines] for piece in pieces]
    return [replace(p, lines=tuple(lines)) for p, lines in zip(pieces, bare, strict=True)]


def owned(without: Tree, having: Tree, mine: Tree) -> list[Piece]:
    """What there is of a choice in the owner's files: that which would go with it.

    So it is asked of the merge, which knows his names, his layout, and where he moved what. Where
    it would refuse, he changed the lines.
    """
    merged = merge(having, mine, without)
    pieces = _pieces(merged.tree, mine)
    for refusal in merged.refusals:
        lines = mine.get(refusal.path, "").split("\n")
        many = refusal.yours.rstrip("\n").count("\n") + 1
        own = [*enumerate(lines, 1)][refusal.line - 1 : refusal.line - 1 + many]
        if refusal.line and refusal.yours:
            instead = tuple(refusal.template.split("\n"))
            pieces.append(Piece(refusal.path, tuple(own), instead, changed=True))
    gone = having.keys() - without.keys() - mine.keys()
    pieces += [Piece(path, (), whole=True) for path in gone]
    return sorted(pieces, key=lambda piece: (_is_beside(piece.path), piece.path, piece.lines[:1]))


def _pieces(without: Tree, having: Tree) -> list[Piece]:
    """The lines that one tree has and the other has not, numbered, file by file."""
    pieces = []
    for path in sorted(changed(without, having), key=_is_beside):
        if path not in having:
            continue
        before, there = (tree.get(path, "").split("\n") for tree in (without, having))
        numbered = [*enumerate(there, 1)]
        if path not in without:
            lines = numbered[: -1 if there[-1] == "" else None]
            pieces.append(Piece(path, tuple(lines), whole=True))
            continue
        matcher = difflib.SequenceMatcher(None, before, there, autojunk=False)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes():
            if tag in ("insert", "replace"):
                j1 = _with_its_comment(there, j1) if path.endswith(".py") else j1
                pieces.append(Piece(path, tuple(_trimmed(numbered[j1:j2])), tuple(before[i1:i2])))
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


def _with_its_comment(lines: list[str], start: int) -> int:
    """Where a piece begins, if what stands above it is a comment on it."""
    while start > 0 and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _trimmed(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Without blank lines at either end."""
    while lines and not lines[0][1].strip():
        lines = lines[1:]
    while lines and not lines[-1][1].strip():
        lines = lines[:-1]
    return lines
