"""The owner's names: what he renamed, consistently, since the template wrote it.

Base and new are written with his names before anything is compared, so that a renamed variable is
no difference, and what the template adds uses his name too.
"""

import ast
from collections import Counter
from dataclasses import dataclass

import libcst as cst

from litgen_torch.merge.shapes import counterparts, likeness, names_in

Renames = dict[str, dict[str, str]]  # function, or "" for the whole file: old name to new
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Named:
    """Who renamed what: the owner's names go into base and new, the template's into the others."""

    owner: Renames
    template: Renames
    problems: tuple[str, ...]


def find_names(base: ast.Module, mine: ast.Module, new: ast.Module) -> Named:
    """What the owner and the template renamed, and where these do not go together."""
    ours, theirs = find_renames(base, mine), find_renames(base, new)
    problems, fresh = [], Renames()
    for scope, names in ours.items():
        taken = _in_scope(new, scope) - _in_scope(base, scope)
        for old, name in names.items():
            other = theirs.get(scope, {}).get(old, name if name not in taken else "")
            if other != name:
                meant = f"{other!r} now" if other else f"not what the template calls {name!r}"
                problems.append(f"you call {old!r} {name!r}, and it is {meant}")
    for scope, names in find_renames(base, new, everywhere=True).items():
        taken = _in_scope(mine, ours.get("", {}).get(scope, scope))
        own = {old: name for old, name in names.items() if old not in ours.get(scope, {})}
        for old, name in own.items():
            if name in taken:
                problems.append(f"the template calls {old!r} {name!r} now, a name of yours")
        if own:
            fresh[scope] = own
    return Named(joined(ours, _usual(base, mine, new, ours)), fresh, tuple(problems))


def _usual(base: ast.Module, mine: ast.Module, new: ast.Module, ours: Renames) -> Renames:
    """The owner's names where the template brings a name that he has renamed in all functions.

    In at least two, and not where somebody calls a function with it as a keyword.
    """
    before, here, there = (
        {scope: {*names_in(function)} for scope, function in _functions(tree).items()}
        for tree in (base, mine, new)
    )
    keywords = {node.arg for node in ast.walk(new) if isinstance(node, ast.keyword)}
    found: Renames = {}
    for old in sorted({name for scope in before for name in ours.get(scope, {})} - keywords):
        his = [ours.get(scope, {}).get(old) for scope, names in before.items() if old in names]
        name = his[0]
        if name is None or len(his) < 2 or {*his} != {name}:
            continue
        for scope, names in there.items():
            taken = names | here.get(scope, set())
            if old in names - before.get(scope, set()) and name not in taken:
                found.setdefault(scope, {})[old] = name
    return found


def joined(one: Renames, other: Renames) -> Renames:
    """Both."""
    return {scope: one.get(scope, {}) | other.get(scope, {}) for scope in one | other}


def find_renames(base: ast.Module, other: ast.Module, *, everywhere: bool = False) -> Renames:
    """The names of base that are others in the other version, by the function that they live in.

    With `everywhere` only those whose every place is the same place there, but for the name.
    """
    found: Renames = {}
    imported = _imports(other)
    top = _renamed(base, other, bound_at_top(base) - imported, everywhere=everywhere)
    taken = imported | bound_at_top(base)  # definitions in another order exchanged no names
    top = {old: name for old, name in top.items() if name not in taken}
    top = {old: name for old, name in top.items() if _is_most_alike(base, other, old, name)}
    top |= _aliases(base, other)
    if top:
        found[""] = top
    others = _functions(other)
    for name, before in _functions(base).items():
        now = others.get(top.get(name, name))
        if now and (local := _renamed(before, now, _bound_in(before), everywhere=everywhere)):
            found[name] = local
    return found


def _is_most_alike(base: ast.Module, other: ast.Module, old: str, name: str) -> bool:
    """Whether no definition that is new there is more like the old one than that of this name."""
    before = definition(base, old)
    fresh = bound_at_top(other) - bound_at_top(base)
    alike = {new: likeness(before, definition(other, new)) for new in fresh}
    return name not in alike or alike[name] == max(alike.values())


def definition(tree: ast.Module, name: str) -> ast.stmt:
    """The statement that sets a name at the top of a file."""
    return next(s for s in tree.body if name in bound_at_top(ast.Module([s], [])))


def _aliases(base: ast.Module, mine: ast.Module) -> dict[str, str]:
    """Imports that have another name there: `import x as y`."""
    before, now = _imported(base), _imported(mine)
    pairs = {before[what]: now[what] for what in before.keys() & now.keys()}
    used = set(names_in(mine))
    return {old: name for old, name in pairs.items() if old != name and old not in used}


def _imported(tree: ast.Module) -> dict[tuple[str, str], str]:
    """Modules and names that a file imports: what they are called in it."""
    found: dict[tuple[str, str], str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {(a.name, ""): a.asname or a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found |= {(module, a.name): a.asname or a.name for a in node.names}
    return {what: name for what, name in found.items() if "." not in name}


def _in_scope(tree: ast.Module, scope: str) -> set[str]:
    """The names in a function, or in the whole file."""
    function = _functions(tree).get(scope) if scope else tree
    return set(names_in(function)) if function else set()


def rename(module: cst.Module, renames: Renames) -> cst.Module:
    """The file with these names."""
    if not renames:
        return module
    renamed = module.visit(_Renamer(renames))
    assert isinstance(renamed, cst.Module)
    return renamed


def _renamed(
    before: ast.AST, now: ast.AST, candidates: set[str], *, everywhere: bool
) -> dict[str, str]:
    """Candidates that are gone, where in all equal places one and the same new name stands.

    And those that were exchanged for each other.
    """
    old, fresh = Counter(names_in(before)), set(names_in(now))
    gone = candidates - fresh - {"_"}
    seen = counterparts(before, now)
    clear = {name: next(iter(seen[name])) for name in candidates if len(seen[name]) == 1}
    known = old.keys() | {"_"}
    times = Counter(clear[name] for name in gone if name in clear)
    swapped = {a: b for a, b in clear.items() if a != b and clear.get(b) == a}
    return swapped | {
        name: other
        for name, other in clear.items()
        if name in gone
        and other not in known
        and times[other] == 1
        and (not everywhere or seen[name].total() == old[name])
    }


def _functions(tree: ast.Module) -> dict[str, Function]:
    """Functions at the top of a file, and methods as `Class.method`."""
    found = {node.name: node for node in tree.body if isinstance(node, Function)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {f"{c.name}.{f.name}": f for c in classes for f in c.body if isinstance(f, Function)}
    return found | methods


def bound_at_top(tree: ast.Module) -> set[str]:
    """Functions, classes and variables of a file."""
    names = {s.name for s in tree.body if isinstance(s, (Function, ast.ClassDef))}
    assigned = [s for s in tree.body if isinstance(s, (ast.Assign, ast.AnnAssign))]
    return names.union(*map(_stored, assigned))


def _bound_in(function: Function) -> set[str]:
    return _stored(function) | {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}


def _stored(tree: ast.AST) -> set[str]:
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    caught = {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}
    return caught | {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _imports(tree: ast.Module) -> set[str]:
    nodes = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    return {alias.asname or alias.name.partition(".")[0] for n in nodes for alias in n.names}


class _Renamer(cst.CSTTransformer):
    """Writes names of variables and parameters anew; attributes and keywords stay."""

    def __init__(self, renames: Renames) -> None:
        super().__init__()
        self.renames, self.path = renames, list[str]()

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.path.append(node.name.value)

    def leave_ClassDef(
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.ClassDef:
        self.path.pop()
        return updated_node

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.path.append(node.name.value)

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        self.path.pop()
        name = self._now(original_node.name.value)
        return updated_node.with_changes(name=cst.Name(name))

    def visit_ImportAlias(self, node: cst.ImportAlias) -> bool:
        return False

    def leave_ImportAlias(
        self, original_node: cst.ImportAlias, updated_node: cst.ImportAlias
    ) -> cst.ImportAlias:
        name = original_node.evaluated_alias or original_node.evaluated_name
        now = self._now(name)
        if now == name or "." in name:
            return updated_node
        asname = None if now == original_node.evaluated_name else cst.AsName(cst.Name(now))
        return updated_node.with_changes(asname=asname)

    def visit_ImportFrom_module(self, node: cst.ImportFrom) -> None:
        self.path.append("")

    def leave_ImportFrom_module(self, node: cst.ImportFrom) -> None:
        self.path.pop()

    def visit_Attribute_attr(self, node: cst.Attribute) -> None:
        self.path.append("")

    def leave_Attribute_attr(self, node: cst.Attribute) -> None:
        self.path.pop()

    def visit_Arg_keyword(self, node: cst.Arg) -> None:
        self.path.append("")

    def leave_Arg_keyword(self, node: cst.Arg) -> None:
        self.path.pop()

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        if self.path and self.path[-1] == "":
            return updated_node
        return updated_node.with_changes(value=self._now(original_node.value))

    def _now(self, name: str) -> str:
        for end in range(len(self.path), -1, -1):
            known = self.renames.get(".".join(self.path[:end]), {})
            if name in known:
                return known[name]
        return name
