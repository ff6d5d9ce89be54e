"""Definitions, and whole files, that the owner moved to other files of the project."""

import ast
import contextlib
import re
from collections import Counter
from collections.abc import Mapping

import libcst as cst

from litgen_torch.merge.comments import begin_file
from litgen_torch.merge.imports import imports_of, remove_import
from litgen_torch.merge.modules import Definition, module_of, tree_of
from litgen_torch.merge.source import Source, Statement, parse
from litgen_torch.merge.written import code_of
from litgen_torch.render import Tree

Moves = dict[tuple[str, str], list[str]]  # from one file to another: the names


def moved_definitions(base: Tree, mine: Tree) -> Moves:
    """Functions and classes that stood at the top of one file and do so in another now."""
    here = {path: defined_in(text) for path, text in mine.items() if path.endswith(".py")}
    there = {path: defined_in(text) for path, text in base.items() if path in here}
    moves: Moves = {}
    for path, names in there.items():
        for name in sorted(names - here[path]):
            found = [p for p, own in here.items() if name in own and name not in there.get(p, ())]
            if len(found) == 1:
                moves.setdefault((path, found[0]), []).append(name)
    return moves


def moved_file(path: str, base: Tree, mine: Tree) -> str | None:
    """Where the owner has the file now: the one file of his own that holds its definitions."""
    names = defined_in(base[path])
    others = [p for p in mine if p.endswith(".py") and p not in base]
    shared = Counter({p: len(names & defined_in(mine[p])) for p in others})
    best = [p for p, count in shared.items() if 2 * count > len(names)]
    return best[0] if len(best) == 1 else None


def importing_from(files: Mapping[str, str], tree: Tree) -> Tree:
    """The tree, importing from where the owner has these files now, instead of where they were."""
    modules = {module_of(path): module_of(place) for path, place in files.items()}
    words = re.compile(rf"\b({'|'.join(map(re.escape, modules))})\b") if modules else None
    found = dict(tree)
    for path, text in tree.items():
        if words and path.endswith(".py") and words.search(text):
            with contextlib.suppress(cst.ParserSyntaxError):
                found[path] = cst.parse_module(text).visit(_Homes(modules)).code
    return found


class _Homes(cst.CSTTransformer):
    """Imports modules by other names."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        super().__init__()
        self.modules = modules

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom:
        if updated_node.module is None or updated_node.relative:
            return updated_node
        place = self.modules.get(cst.Module([]).code_for_node(updated_node.module))
        return updated_node.with_changes(module=_dotted(place)) if place else updated_node

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        return updated_node.with_changes(names=[self._alias(each) for each in updated_node.names])

    def _alias(self, alias: cst.ImportAlias) -> cst.ImportAlias:
        name = alias.evaluated_name
        if name not in self.modules or ("." in name and not alias.asname):
            return alias
        called = alias.asname or cst.AsName(cst.Name(name))
        return alias.with_changes(name=_dotted(self.modules[name]), asname=called)


def _dotted(module: str) -> cst.Attribute | cst.Name:
    found = cst.parse_expression(module)
    assert isinstance(found, cst.Attribute | cst.Name)
    return found


def without(text: str, names: list[str]) -> str:
    """The file without these definitions, and without the imports that only they used."""
    source = parse(text)
    used = _used(source.root.statements)
    _keep(source, [s for s in source.root.statements if _name(s) not in names])
    return _without_unused(source, used)


def only(text: str, names: list[str]) -> str:
    """These definitions of a file, and the imports that they use."""
    source = parse(text)
    used = {item.binds for s in source.root.statements for item in imports_of(s)}
    _keep(source, [s for s in source.root.statements if imports_of(s) or _name(s) in names])
    return _without_unused(source, used)


def without_import(text: str, place: str, names: list[str]) -> str:
    """The file without its imports of these names from another file, if it does not use them."""
    module = place.removesuffix(".py").replace("/", ".")
    try:
        source = parse(text)
    except (SyntaxError, ValueError):
        return text
    used = _used([s for s in source.root.statements if not imports_of(s)])
    for statement in list(source.root.statements):
        for item in imports_of(statement):
            if item.module == module and item.name in names and item.binds not in used:
                remove_import(item, source.root, [])
    return code_of(source)


def _without_unused(source: Source, candidates: set[str]) -> str:
    used = _used([s for s in source.root.statements if not imports_of(s)])
    for statement in list(source.root.statements):
        for item in imports_of(statement):
            if item.binds in candidates - used:
                remove_import(item, source.root, [])
    begin_file(source.root)
    return code_of(source)


def _keep(source: Source, statements: list[Statement]) -> None:
    source.root.statements = statements
    source.root.adopt()


def _used(statements: list[Statement]) -> set[str]:
    nodes = [node for s in statements for node in ast.walk(s.tree)]
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _name(statement: Statement) -> str:
    return getattr(statement.tree, "name", "")


def defined_in(text: str) -> set[str]:
    """Functions and classes at the top of a file; none where it does not parse."""
    return {node.name for node in tree_of(text).body if isinstance(node, Definition)}
