"""Which places of two versions of some code are the same but for their names."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from litgen_torch.merge.meaning import BODIES, SILENT


def counterparts(before: ast.AST, now: ast.AST) -> defaultdict[str, Counter[str]]:
    """The names that stand, in the other version, where each of these stood; and how often."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one, other in _matching(before, now):
        for a, b in zip(names_in(one), names_in(other), strict=True):
            seen[a][b] += 1
    return seen


def likeness(one: ast.AST, other: ast.AST) -> float:
    """How much of two definitions is alike but for the names: from 0 to 1."""
    counts = [Counter(_shape(piece) for piece in _pieces(tree)) for tree in (one, other)]
    return 2 * (counts[0] & counts[1]).total() / (counts[0].total() + counts[1].total())


@lru_cache(512)
def names_in(tree: ast.AST) -> list[str]:
    """Every name in a tree, in order: variables, parameters, what functions are called."""
    found = []
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            found.append(node.id)
        elif isinstance(node, ast.arg):
            found.append(node.arg)
        elif isinstance(node, ast.alias):
            found.append(node.asname or node.name)
        elif isinstance(name := getattr(node, "name", None), str):
            found.append(name)
        stack += reversed([*ast.iter_child_nodes(node)])
    return found


def _matching(before: ast.AST, now: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Statements, and heads of compound ones, that are alike but for their names; in order."""
    old, fresh = [*_pieces(before)], [*_pieces(now)]
    shapes = [_shape(piece) for piece in old], [_shape(piece) for piece in fresh]
    matcher = SequenceMatcher(None, shapes[0], shapes[1], autojunk=False)
    for i, j, size in matcher.get_matching_blocks():
        yield from zip(old[i : i + size], fresh[j : j + size], strict=True)


def _pieces(tree: ast.AST) -> Iterator[ast.AST]:
    for node in _statements(tree):
        fields = {n: getattr(node, n) for n in node._fields if n not in BODIES}
        if len(fields) == len(node._fields):
            yield node
        else:
            head = ast.List(_flat([*fields.values()]))  # type: ignore[arg-type]
            head.name = getattr(node, "name", None)  # type: ignore[attr-defined]
            yield head


def _flat(values: Sequence[object]) -> list[ast.AST]:
    lists = [value if isinstance(value, list) else [value] for value in values]
    return [node for some in lists for node in some if isinstance(node, ast.AST)]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    for name in ("body", "handlers", "orelse", "finalbody"):
        inside = getattr(tree, name, [])
        for node in inside if isinstance(inside, list) else []:
            yield from _statements(node)


def _shape(node: object) -> str:
    """The meaning with every name blanked."""
    if isinstance(node, list):
        return f"[{','.join(map(_shape, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    hidden = {ast.Name: "id", ast.arg: "arg", ast.FunctionDef: "name", ast.ClassDef: "name"}
    names = [n for n in node._fields if n not in SILENT and n != hidden.get(type(node))]
    return f"({type(node).__name__} {' '.join(_shape(getattr(node, n, None)) for n in names)})"
