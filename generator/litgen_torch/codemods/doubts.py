"""Places where something may be used without its name: refused, never guessed."""

import ast
from collections.abc import Iterable, Iterator

from litgen_torch.codemods.names import absolute
from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Reference, Source
from litgen_torch.codemods.step import Doubt


def may_concern(target: str, text: str) -> bool:
    """Whether a text may use what has this dotted path, by its name or by `getattr`."""
    module, _, name = target.rpartition(".")
    return name in text or ("getattr" in text and module.rpartition(".")[2] in text)


def doubts(source: Source, target: str, others: Others) -> Iterator[Doubt]:
    """Uses of a function that only running the file would tell: star imports, getattr, aliases."""
    yield from _from_stars(source, target, others)
    yield from _by_text(source, target)
    yield from _of_aliased_modules(source, target)


def unsure(source: Source, target: str, nodes: Iterable[Reference]) -> Iterator[Doubt]:
    """Those of the nodes that may stand for something else as well."""
    for node in nodes:
        if source.meanings(node) != {target}:
            by_hand = f"another name for what is not {target}"
            yield Doubt(node, f"{source.words(node)} may stand for {target} or not", by_hand)


def _from_stars(source: Source, target: str, others: Others) -> Iterator[Doubt]:
    module, _, name = target.rpartition(".")
    by_hand = f"from {module} import {name}"
    for use, _ in source.names.uses if source.stars() else ():
        if use.id == name and not source.bindings(use):
            yield Doubt(use, f"{name} may come from an import of *", by_hand)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            between = absolute(source.path, node)
            if between != module and others.passes_on(between, name):
                yield Doubt(node, f"{between} has {name} by an import of *", by_hand)


def _by_text(source: Source, target: str) -> Iterator[Doubt]:
    """`getattr(module, "name")` and the like: with this name, or with one that is not written."""
    module, _, name = target.rpartition(".")
    for node in ast.walk(source.tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Call) and _asks_for_a_text(node, name):
            parts = [*node.args]
        elif isinstance(node, ast.Subscript) and _is_text(node.slice, name):
            parts = [*ast.walk(node.value)]
        found = [part for part in parts if module in source.meanings(part)]
        if found:
            by_hand = f"{source.words(found[0])}.{name}"
            if not any(_is_text(part, name) for part in ast.walk(node)):
                by_hand = f'{{"{name}": {by_hand}}}[{source.words(parts[1])}]'
            yield Doubt(node, f"{name} may be looked up here by its text", by_hand)


def _asks_for_a_text(call: ast.Call, name: str) -> bool:
    """Whether a call is given the name as a text, or is a `getattr` with one from elsewhere."""
    if any(_is_text(arg, name) for arg in call.args):
        return True
    is_getattr = isinstance(call.func, ast.Name) and call.func.id == "getattr"
    return is_getattr and len(call.args) > 1 and not isinstance(call.args[1], ast.Constant)


def _of_aliased_modules(source: Source, target: str) -> Iterator[Doubt]:
    """`o = optim`, and then `o.name`."""
    module, _, name = target.rpartition(".")
    values = [
        node.value
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.keyword)
        and node.value
        and module in source.meanings(node.value)
    ]
    for node in ast.walk(source.tree) if values else ():
        if isinstance(node, ast.Attribute) and node.attr == name and source.is_unknown(node):
            by_hand = f"{source.words(values[0])}.{name}"
            yield Doubt(node, f"{source.words(node)} may be {target}", by_hand)


def _is_text(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text
