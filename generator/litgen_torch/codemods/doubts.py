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
        if isinstance(node, ast.Call):
            of_module = [arg for arg in node.args if module in source.meanings(arg)]
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            asks = isinstance(node.func, ast.Name) and node.func.id == "getattr"
            if of_module and (name in texts or (asks and not texts)):
                written = f"{source.words(of_module[0])}.{name}"
                by_hand = (
                    written if name in texts else f'{{"{name}": {written}}}[…], without getattr'
                )
                yield Doubt(node, f"{name} may be looked up here by its text", by_hand)
        elif isinstance(node, ast.Subscript) and _is_text(node.slice, name):
            inside = [part for part in ast.walk(node.value) if module in source.meanings(part)]
            if inside:
                by_hand = f"{source.words(inside[0])}.{name}"
                yield Doubt(node, f"{name} is looked up here by its text", by_hand)


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
