"""Uses of a renamed function through its module: `optim.name`, however `optim` was imported."""

import ast

from litgen_torch.codemods.imports import among, beside
from litgen_torch.codemods.names import Binding
from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Edit, Source
from litgen_torch.codemods.step import Doubt, Edits


def follow_modules(
    source: Source, uses: list[ast.Attribute], change: tuple[str, str], others: Others, edits: Edits
) -> None:
    """Let uses of a function find it in the module where it is now, imported as the old one was."""
    target, new = change
    old_module, new_module = target.rpartition(".")[0], new.rpartition(".")[0]
    imported: dict[Binding, str] = {}  # by an import of the old module, the new one's name here
    followed: set[ast.AST] = set()
    for use in uses:
        root = _root(use)
        bindings = [b for b in source.bindings(root) if b.dotted == old_module]
        if bindings:
            name = _free_name(source, new_module)
        else:  # the import is of a package above it, and the path is written out
            bindings = _importing(source.bindings(root), old_module)
            name = root.id + new_module.removeprefix(bindings[0].dotted)
        if name and source.is_at(use) and "#" not in source.words(use):
            edits.text.append((*source.span(use), f"{name}.{new.rpartition('.')[2]}"))
            imported |= dict.fromkeys(bindings, name)
            followed |= {root, use.value}
        else:
            by_hand = f"a name of its own for {target}, in a line before this one"
            edits.doubts.append(Doubt(use, f"{root.id}'s place or name is in the way", by_hand))
    for binding, name in imported.items():
        stays = _is_needed(source, binding, old_module, followed, others)
        edits.text += _import(source, binding, new_module, name, stays)


def _root(use: ast.Attribute) -> ast.Name:
    node: ast.expr = use
    while isinstance(node, ast.Attribute):
        node = node.value
    assert isinstance(node, ast.Name)  # nothing else has a known meaning
    return node


def _importing(bindings: list[Binding], module: str) -> list[Binding]:
    """Of several imports that bind the package's name, the one that is about this module."""
    about = [b for b in bindings if isinstance(b.node, ast.alias) and b.node.name == module]
    return (about or bindings)[:1]


def _free_name(source: Source, module: str) -> str:
    """What a file can call a module: by its last word, else by two; "" if both are taken."""
    words = module.split(".")
    names = [words[-1], "_".join(words[-2:])]
    return next((name for name in names if source.is_free(name, module)), "")


def _is_needed(
    source: Source, binding: Binding, module: str, followed: set[ast.AST], others: Others
) -> bool:
    """Whether something else still uses the old module by this import."""
    assert isinstance(binding.node, ast.alias)
    if binding.dotted != module:
        uses = source.references(module)
        return binding.node.name != module or any(use not in followed for use in uses)
    local = binding.node.asname or binding.node.name
    used = (use for use, _ in source.names.uses if binding in source.bindings(use))
    return any(use not in followed for use in used) or source.exports(local) or others.take(local)


def _import(source: Source, binding: Binding, module: str, name: str, stays: bool) -> list[Edit]:
    """The import of the new module: beside that of the old one, or in its place."""
    statement, alias = binding.statement, binding.node
    assert statement and isinstance(alias, ast.alias)
    package, _, last = module.rpartition(".")
    words = last if name == last else f"{last} as {name}"
    if name.endswith(f".{last}"):  # written out
        if not stays:
            return [(*source.span(alias), module)]
        return [beside(source, statement, f"import {module}")]
    if source.names.scopes[0].bindings.get(name):
        return []  # imported already
    if isinstance(statement, ast.ImportFrom):
        if not stays:
            return [(*source.span(alias), words)]
        return [among(source, statement, words)]
    if not stays:
        return [(*source.span(alias), f"{module} as {name}")]
    return [beside(source, statement, f"from {package} import {words}")]
