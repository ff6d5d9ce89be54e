"""What Python code means: without positions, quotes, parentheses, comments or layout."""

import ast
import inspect
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

BODIES = frozenset({"body", "orelse", "handlers", "finalbody"})
SILENT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})  # fields without meaning


@lru_cache(64)
def parsed(text: str) -> ast.Module:
    """The tree of a file, to be read only: a merge asks for each several times."""
    return ast.parse(text)


def meaning(node: Any) -> str:
    """An `ast` node without positions, quotes, parentheses and layout."""
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if isinstance(node, ast.AST):
        parts = [meaning(getattr(node, name)) for name in node._fields if name not in SILENT]
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(map(meaning, node))}]"
    return repr(node)


def head_of(tree: ast.AST) -> str:
    names = [name for name in tree._fields if name not in BODIES | SILENT]
    return f"{type(tree).__name__} {','.join(meaning(getattr(tree, name)) for name in names)}"


def key_of(tree: ast.stmt, *, is_first: bool) -> str:
    """The meaning of a simple statement."""
    if is_first and (doc := _docstring(tree)) is not None:
        return f"doc {doc!r}"
    return meaning(tree)


def simple_keys(text: str) -> Counter[str]:
    """How often each simple statement stands in a file, by meaning; without imports and `pass`."""
    return Counter(
        key_of(node, is_first=i == 0 and has_docstring(parent, name))
        for parent, name, statements in _lists(parsed(text))
        for i, node in enumerate(statements)
        if not (
            isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass, ast.Match))
            or hasattr(node, "body")
        )
    )


def _lists(parent: ast.AST) -> Iterator[tuple[ast.AST, str, list[ast.stmt]]]:
    """Every list of statements below a node, and where it is."""
    for name in (*BODIES, "cases"):
        inside = getattr(parent, name, [])
        if name not in ("handlers", "cases"):
            yield parent, name, inside
        for node in inside:
            yield from _lists(node)


def _docstring(tree: ast.stmt) -> str | None:
    value = tree.value if isinstance(tree, ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return inspect.cleandoc(value.value)
    return None


def has_docstring(parent: ast.AST, name: str) -> bool:
    """Whether a text that comes first there is a docstring."""
    kinds = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return name == "body" and isinstance(parent, kinds)
