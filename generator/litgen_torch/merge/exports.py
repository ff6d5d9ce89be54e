"""What the owner renamed in one file of the project, in the others that import it from there.

Base and new get his names in these files before they are compared with his, so that what the
template adds says them too. Where it is not clear what he renamed, or his name means something else
in a file, nothing is done: then the new lines would find nothing, which is refused.
"""

import ast
from collections.abc import Collection
from dataclasses import dataclass, field

import libcst as cst

from litgen_torch.merge.meaning import parsed
from litgen_torch.merge.modules import (
    Definition,
    bindings,
    is_set,
    module_of,
    modules,
    reads,
    set_in,
    source_of,
)
from litgen_torch.merge.names import bound_at_top, definition, find_renames, rename
from litgen_torch.merge.shapes import counterparts, likeness, names_in
from litgen_torch.merge.source import parse
from litgen_torch.render import Tree

ENOUGH = 0.5  # how alike two definitions have to be to count as one


@dataclass(frozen=True)
class _Renamed:
    """A name at the top of a module."""

    module: str
    old: str
    name: str
    is_defined: bool  # by a function or class, and no variable, which says little of itself


def follow_renames(
    base: Tree, mine: Tree, new: Tree, leave: Collection[str]
) -> tuple[Tree, Tree, dict[str, str]]:
    """Base and new with the owner's names of what they import; and these names."""
    renamed = [
        found
        for path in sorted(base.keys() & mine.keys())
        if path.endswith(".py") and base[path] != mine[path]
        for found in _renamed_in(path, base[path], mine[path], new.get(path, base[path]))
    ]
    if not renamed:
        return base, new, {}
    base, new = dict(base), dict(new)
    names = {item.old: item.name for item in renamed}
    for path in sorted(base.keys() | new.keys()):
        trees = [tree for tree in (base, new) if path in tree]
        texts = [tree[path] for tree in trees]
        is_there = path in mine or path not in base
        if not is_there or path in leave or not path.endswith(".py"):
            continue
        try:
            file = _read(path, texts, mine.get(path, ""), renamed)
            written = [_written(text, file) for text in texts]
        except (SyntaxError, ValueError):
            continue
        names |= {k: v for k, v in file.local.items() if v not in names.values()}
        for tree, text in zip(trees, written, strict=True):
            tree[path] = text
    return base, new, names


def _renamed_in(path: str, base: str, mine: str, new: str) -> list[_Renamed]:
    """Definitions and variables at the top of a file that have another name now."""
    try:
        before, here, there = (parsed(text.removeprefix("\ufeff")) for text in (base, mine, new))
    except (SyntaxError, ValueError):
        return []
    gone = bound_at_top(before) - set_in(mine)
    free = bound_at_top(here) - set_in(base) - bound_at_top(there)
    if not gone or not free:
        return []
    module = module_of(path)
    found = []
    for old, name in find_renames(before, here).get("", {}).items():
        if old in gone and name in free:
            one, other = definition(before, old), definition(here, name)
            if type(one) is type(other) and likeness(one, other) >= ENOUGH:
                found.append(_Renamed(module, old, name, isinstance(one, Definition)))
    return found


@dataclass
class _File:
    """The template's versions of a file and the owner's, and what becomes of the names in it."""

    path: str
    trees: list[ast.Module]
    here: ast.Module
    imported: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    attributes: dict[tuple[str, str], str] = field(default_factory=dict)  # of modules

    def take(self, item: _Renamed) -> None:
        """Enter what becomes of a name, unless the owner's file has it as it was."""
        if any(bindings(self.here, self.path, item.module, item.old)):
            return
        there = {a for tree in self.trees for a in bindings(tree, self.path, item.module, item.old)}
        own = {*bindings(self.here, self.path, item.module, item.name)}
        if len(there) == 1 and len(own) <= 1:
            (local,) = there
            now = next(iter(own), item.name if local == item.old else local)
            if now == local or self._may_be(local, now, item, is_his=bool(own)):
                self.imported[item.module, item.old] = item.name, now
                self.local |= {local: now} if now != local else {}

    def _may_be(self, local: str, now: str, item: _Renamed, *, is_his: bool) -> bool:
        """Whether a name may have another in this file; of a variable his places have to say so."""
        taken = {word for tree in self.trees for word in names_in(tree)}.union(self.local.values())
        his = {*names_in(self.here)}
        if now in taken or local in his or (not is_his and now in his):
            return False
        if any(is_set(tree, local) for tree in self.trees):
            return False
        return item.is_defined or counterparts(self.trees[0], self.here)[local].keys() == {now}

    def take_attribute(self, item: _Renamed) -> None:
        """Enter what becomes of `module.name`, unless the owner's file reads it as it was."""
        here = {*modules(self.here, self.path, item.module)}
        if not item.is_defined or here & {of for of, name in reads(self.here) if name == item.old}:
            return
        for called in {a for tree in self.trees for a in modules(tree, self.path, item.module)}:
            if not any(is_set(tree, called) for tree in self.trees):
                self.attributes[called, item.old] = item.name


def _read(path: str, texts: list[str], mine: str, renamed: list[_Renamed]) -> _File:
    """What becomes of the names in a file."""
    file = _File(path, [parsed(text) for text in texts], parsed(mine.removeprefix("\ufeff")))
    for item in renamed:
        if any(item.old in text for text in texts):
            file.take(item)
            file.take_attribute(item)
    return file


def _written(text: str, file: _File) -> str:
    """The template's file with the owner's names."""
    if not file.imported and not file.attributes:
        return text
    module = parse(text).root.node.visit(_Writer(file))
    return rename(module, {"": file.local} if file.local else {}).code


class _Writer(cst.CSTTransformer):
    """Writes what imports import, and attributes of modules."""

    def __init__(self, file: _File) -> None:
        super().__init__()
        self.file = file

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom:
        if isinstance(updated_node.names, cst.ImportStar):
            return updated_node
        of = updated_node.module
        module = cst.Module([]).code_for_node(of) if of else None
        source = source_of(self.file.path, module, len(updated_node.relative))
        names = [self._alias(source, alias) for alias in updated_node.names]
        return updated_node.with_changes(names=names)

    def _alias(self, source: str, alias: cst.ImportAlias) -> cst.ImportAlias:
        name, now = self.file.imported.get((source, alias.evaluated_name), ("", ""))
        if not name:
            return alias
        asname = None if now == name else cst.AsName(cst.Name(now))
        return alias.with_changes(name=cst.Name(name), asname=asname)

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.Attribute:
        if not isinstance(original_node.value, cst.Name):
            return updated_node
        key = original_node.value.value, original_node.attr.value
        name = self.file.attributes.get(key, key[1])
        return updated_node.with_changes(attr=updated_node.attr.with_changes(value=name))
