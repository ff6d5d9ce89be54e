"""What the names in a Python file stand for: by scopes, and imports by their dotted paths."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

Import = ast.Import | ast.ImportFrom
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Binding:
    """One place that gives a name a meaning; `dotted` is "" where nothing is known of it."""

    dotted: str
    node: ast.AST
    statement: Import | None = None  # with this, the node is its alias


@dataclass(eq=False)
class Scope:
    """A module, class, function or comprehension, and the names that it binds."""

    parent: "Scope | None" = None
    kind: str = "module"
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: "dict[str, Scope]" = field(default_factory=dict)  # declared global or nonlocal


def module_of(path: str) -> str:
    """The name by which a file of the project is imported."""
    plain = PurePosixPath(path).with_suffix("")
    return ".".join(plain.parent.parts if plain.name == "__init__" else plain.parts)


def absolute(path: str, statement: ast.ImportFrom) -> str:
    """The module that a `from … import` in this file names, also where it begins with dots."""
    if not statement.level:
        return statement.module or ""
    package = PurePosixPath(path).parent.parts
    base = package[: len(package) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def lookup(name: str, scope: Scope) -> list[Binding]:
    """All that a name may stand for in this scope; nothing if it is built in, or not known."""
    here: Scope | None = scope.elsewhere.get(name, scope)
    while here:
        if name in here.bindings and (here is scope or here.kind != "class"):
            return here.bindings[name]
        here = here.parent
    return []


class Names(ast.NodeVisitor):
    """Collects the scopes of a file, and every use of a name with the scope that it stands in."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.scope = Scope()
        self.scopes = [self.scope]
        self.uses: list[tuple[ast.Name, Scope]] = []

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._bind(node.id, node)
        self.uses.append((node, self.scope))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        scope = self.scope
        while scope.kind == "comprehension" and scope.parent:
            scope = scope.parent
        scope.bindings.setdefault(node.target.id, []).append(Binding("", node))
        self.uses.append((node.target, scope))
        self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self._bind(name, alias, alias.name if alias.asname else name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            dotted = f"{absolute(self.path, node)}.{alias.name}"
            self._bind(alias.asname or alias.name, alias, dotted, node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._define(node)
        self._visit_all(*node.decorator_list, node.returns)
        self._function(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node.args, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._define(node)
        self._visit_all(*node.decorator_list, *node.bases, *node.keywords)
        with self._inside("class"):
            self._visit_all(*node.body)

    def visit_ListComp(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)  # the one part that is outside
        with self._inside("comprehension"):
            for number, generator in enumerate(node.generators):
                iterated = generator.iter if number else None
                self._visit_all(generator.target, iterated, *generator.ifs)
            results = (getattr(node, name, None) for name in ("key", "value", "elt"))
            self._visit_all(*results)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._bind(node.name, node)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self._bind(node.name, node)
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self._bind(node.rest, node)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.scope.elsewhere |= dict.fromkeys(node.names, self.scopes[0])

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        if self.scope.parent:
            self.scope.elsewhere |= dict.fromkeys(node.names, self.scope.parent)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        at_the_top = self.scope is self.scopes[0]
        self._bind(node.name, node, f"{module_of(self.path)}.{node.name}" if at_the_top else "")

    def _function(self, arguments: ast.arguments, body: list[ast.stmt] | list[ast.expr]) -> None:
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        given += [arg for arg in (arguments.vararg, arguments.kwarg) if arg]
        self._visit_all(*arguments.defaults, *arguments.kw_defaults)
        self._visit_all(*(arg.annotation for arg in given))
        with self._inside("function"):
            for arg in given:
                self._bind(arg.arg, arg)
            self._visit_all(*body)

    def _visit_all(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node:
                self.visit(node)

    @contextmanager
    def _inside(self, kind: str) -> Iterator[None]:
        outside, self.scope = self.scope, Scope(self.scope, kind)
        self.scopes.append(self.scope)
        yield
        self.scope = outside

    def _bind(
        self, name: str | None, node: ast.AST, dotted: str = "", statement: Import | None = None
    ) -> None:
        if name:
            scope = self.scope.elsewhere.get(name, self.scope)
            scope.bindings.setdefault(name, []).append(Binding(dotted, node, statement))
