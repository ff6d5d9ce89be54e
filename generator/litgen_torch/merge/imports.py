"""Imports at the top of a file, merged as a set of names, whatever lines they stand on."""

import ast
from dataclasses import dataclass
from typing import Any

import libcst as cst

from litgen_torch.merge.comments import above, begin_file, keep_comments, merge_layout, set_above
from litgen_torch.merge.source import Block, Source, Statement, parse


@dataclass(frozen=True)
class Import:
    """One imported name; `name` is empty for `import module`."""

    module: str
    name: str
    alias: str

    @property
    def binds(self) -> str:
        return self.alias or self.name or self.module.partition(".")[0]


def imports_of(statement: Statement) -> list[Import]:
    """What an import statement imports; nothing for other statements and for `*`."""
    tree = statement.tree
    if isinstance(tree, ast.Import):
        return [Import(alias.name, "", alias.asname or "") for alias in tree.names]
    if isinstance(tree, ast.ImportFrom) and tree.names[0].name != "*":
        module = "." * tree.level + (tree.module or "")
        return [Import(module, alias.name, alias.asname or "") for alias in tree.names]
    return []


def take_imports(source: Source) -> list[Statement]:
    """Remove the top-level imports from a file's statements, and return them."""
    taken = [s for s in source.root.statements if imports_of(s)]
    source.root.statements = [s for s in source.root.statements if s not in taken]
    return taken


def merge_imports(
    base: list[Statement], mine: Source, new: list[Statement], *, used: set[str], wanted: set[str]
) -> list[Import]:
    """Add to mine what new imports and base did not, and remove the reverse.

    `used` are the names that the merged file uses, `wanted` those among the template's imports that
    new itself does not use, but imports. Returns the imports that are needed and cannot be: their
    names are the owner's for something else.
    """
    before, after = _all(base), _all(new)
    present = _all([s for s in mine.root.statements if imports_of(s)])
    _layout(base, mine, new)
    replaced = {item.binds for item in after if item not in before}
    for item in [i for i in before if i not in after and i in present]:
        if item.binds not in used or item.binds in replaced:
            remove_import(item, mine.root, base)
            present.remove(item)
    bound = {i.binds: i for i in present}
    clashes = []
    for item in after:
        if item in before or item in present or item.binds not in used | wanted:
            continue
        if item.binds in bound and bound[item.binds] not in before and item.name:
            clashes.append(item)
        else:
            add_import(item, mine, new)
    begin_file(mine.root)
    return clashes


def add_import(item: Import, mine: Source, new: list[Statement]) -> None:
    """Add one import: to the owner's line of that module, or as a line where new has it."""
    own = [s for s in mine.root.statements if imports_of(s)]
    for statement in own:
        is_from = isinstance(statement.tree, ast.ImportFrom)
        if item.name and is_from and imports_of(statement)[0].module == item.module:
            _widen(statement, item)
            return
    model = next(s for s in new if item in imports_of(s))
    put = _line(item, model)
    block = mine.root
    i = _place(own, new, new.index(model), block.statements)
    if i == 1 and not own and block.statements[0].key.startswith("doc "):
        set_above(put, above(put) or [cst.EmptyLine(indent=False)])
    block.statements.insert(i, put)
    block.adopt()


def _all(statements: list[Statement]) -> list[Import]:
    return [item for statement in statements for item in imports_of(statement)]


def _layout(base: list[Statement], mine: Source, new: list[Statement]) -> None:
    """Carry changed comments and blank lines at the imports that stay."""
    others = [s for s in mine.root.statements if imports_of(s)]
    for old in base:
        modules = [[s for s in some if _module(s) == _module(old)] for some in (base, others, new)]
        if all(len(found) == 1 for found in modules):
            merge_layout(old, modules[1][0], modules[2][0])


def _module(statement: Statement) -> str:
    first = imports_of(statement)[0]
    return f"{type(statement.tree).__name__} {first.module}"


def _place(own: list[Statement], new: list[Statement], at: int, there: list[Statement]) -> int:
    """Behind the owner's import that new has before it, else before the one behind it."""
    mine = {_module(statement): statement for statement in own}
    for statement in reversed(new[:at]):
        if _module(statement) in mine:
            return there.index(mine[_module(statement)]) + 1
    for statement in new[at + 1 :]:
        if _module(statement) in mine:
            return there.index(mine[_module(statement)])
    if own:
        return there.index(own[-1]) + 1
    return next((i for i, s in enumerate(there) if not _is_head(s)), len(there))


def _is_head(statement: Statement) -> bool:
    """Whether a statement may stand before imports: a docstring, an import that is tried."""
    inside = [s for block in statement.blocks for s in block.statements]
    return statement.key.startswith("doc ") or any(map(imports_of, inside))


def _line(item: Import, model: Statement) -> Statement:
    """A line for one import, with what stands around the template's line."""
    words = f"from {item.module} import {item.name}" if item.name else f"import {item.module}"
    words += f" as {item.alias}" if item.alias else ""
    put = parse(words + "\n").root.statements[0]
    changes: dict[str, Any] = {"leading_lines": model.node.leading_lines}
    if len(imports_of(model)) == 1:
        changes["trailing_whitespace"] = model.node.trailing_whitespace
    put.node = put.node.with_changes(**changes)
    return put


def _widen(statement: Statement, item: Import) -> None:
    """Add a name to a `from` import, in order if the names are in order."""
    node = statement.node.body[0]
    alias = cst.ImportAlias(
        cst.Name(item.name), cst.AsName(cst.Name(item.alias)) if item.alias else None
    )
    names = list(node.names)
    keys = [_sort_key(name) for name in names]
    place = len(names)
    if keys == sorted(keys):
        place = sum(key <= _sort_key(alias) for key in keys)
    usual = next(
        (name.comma for name in names[:-1]), cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    )
    last = names[-1].comma
    names[-1] = names[-1].with_changes(comma=usual)
    names.insert(place, alias.with_changes(comma=usual))
    names[-1] = names[-1].with_changes(comma=last)
    _set(statement, node.with_changes(names=names))


def _sort_key(alias: cst.ImportAlias) -> tuple[int, str]:
    """Constants, then classes, then functions: as isort and ruff order them."""
    name = alias.evaluated_name
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), name


def _set(statement: Statement, small: Any) -> None:
    statement.node = statement.node.with_changes(body=[small])
    statement.tree = ast.parse(cst.Module([cst.SimpleStatementLine([small])]).code).body[0]
    statement.changed = True


def remove_import(item: Import, block: Block, base: list[Statement]) -> None:
    """Remove one import; comments that are not the template's stay above what follows."""
    statement = next(s for s in block.statements if item in imports_of(s))
    names = list(statement.node.body[0].names)
    if len(names) > 1:
        last = names[-1].comma
        del names[imports_of(statement).index(item)]
        names[-1] = names[-1].with_changes(comma=last)
        _set(statement, statement.node.body[0].with_changes(names=names))
        return
    i = block.statements.index(statement)
    old = next((s for s in base if item in imports_of(s)), statement)
    if i + 1 < len(block.statements):
        keep_comments(statement, block.statements[i + 1], old)
    block.statements.remove(statement)
    block.adopt()
