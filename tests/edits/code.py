"""Python to be edited by its syntax while all else of the text stays as it is."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from edits.kind import DoesNotApplyError, Tree

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.ClassDef
BODIES = ("body", "orelse", "handlers", "finalbody")


@dataclass(frozen=True)
class Place:
    """A statement: in which block of which function it stands, and what it is called there."""

    name: str
    node: ast.stmt
    block: list[ast.stmt]
    scope: Scope | None

    @property
    def after(self) -> list[ast.stmt]:
        return self.block[self.block.index(self.node) + 1 :]


class Code:
    """A file, as text and as syntax."""

    def __init__(self, text: str) -> None:
        self.raw = text.encode()
        self.tree = ast.parse(text)
        self.starts = [0, *(match.end() for match in re.finditer(b"\n", self.raw))]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node stands, its decorators with it."""
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda n: n.lineno)
        at = first.col_offset - (first is not node)
        start = self.starts[first.lineno - 1] + at
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def source(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.raw[start:end].decode()

    def lines(self, node: ast.AST, *, with_comments: bool = True) -> tuple[int, int]:
        """The whole lines of a statement, and of the comments right above it."""
        start, end = self.span(node)
        first = self.raw.count(b"\n", 0, start)
        indent = self.indent(node).encode()
        while with_comments and first and self._line(first - 1).startswith(indent + b"#"):
            first -= 1
        last = self.raw.count(b"\n", 0, end)
        following = self.starts[last + 1] if last + 1 < len(self.starts) else len(self.raw)
        return self.starts[first], following

    def indent(self, node: ast.AST) -> str:
        start = self.span(node)[0]
        line = self.raw[self.starts[self.raw.count(b"\n", 0, start)] : start]
        return line.decode() if not line.strip() else ""

    def changed(self, *changes: tuple[tuple[int, int], str]) -> str:
        """The text with other words at these places."""
        raw = self.raw
        for (start, end), text in sorted(set(changes), reverse=True):
            raw = raw[:start] + text.encode() + raw[end:]
        return raw.decode()

    def before(self, node: ast.AST, text: str) -> tuple[tuple[int, int], str]:
        """A change: lines above a statement, laid out like it."""
        start = self.lines(node)[0]
        return (start, start), indented(text, self.indent(node))

    def behind(self, node: ast.AST, text: str) -> tuple[tuple[int, int], str]:
        """A change: lines below a statement."""
        end = self.lines(node)[1]
        return (end, end), indented(text, self.indent(node))

    def instead(self, node: ast.AST, text: str) -> tuple[tuple[int, int], str]:
        """A change: another text in the place of a node."""
        return self.span(node), text

    def _line(self, index: int) -> bytes:
        return self.raw[self.starts[index] : self.starts[index + 1]]


def indented(text: str, indent: str) -> str:
    lines = text.rstrip("\n").split("\n")
    return "".join(f"{indent}{line}\n" if line else "\n" for line in lines)


def label(node: ast.stmt) -> str:
    """What a statement is called: the same before and after most changes of the template's."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return f"def {node.name}"
    if isinstance(node, ast.Assign):
        return f"{' = '.join(ast.unparse(target) for target in node.targets)} ="
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        return f"{ast.unparse(node.target)} ="
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        return (
            f"{function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)}()"
        )
    if isinstance(node, (ast.If, ast.While)):
        return f"{type(node).__name__} {ast.unparse(node.test)}"
    if isinstance(node, ast.For):
        return f"for {ast.unparse(node.iter)}"
    if isinstance(node, ast.With):
        return f"with {ast.unparse(node.items[0])}"
    return "return" if isinstance(node, ast.Return) else ast.unparse(node)


def places(path: str, code: Code) -> Iterator[Place]:
    """Every statement in the functions and classes of a file, and at its top."""
    counts = Counter[str]()

    def inside(block: list[ast.stmt], where: str, scope: Scope | None) -> Iterator[Place]:
        for node in block:
            name = f"{path} {where}{label(node)}"
            counts[name] += 1
            yield Place(f"{name}#{counts[name]}", node, block, scope)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from inside(node.body, f"{where}{node.name}.", node)
                continue
            for part in BODIES:
                child = getattr(node, part, [])
                for some in [h.body for h in child] if part == "handlers" else [child]:
                    yield from inside(some, where, scope)

    yield from inside(code.tree.body, "", None)


def is_docstring(place: Place) -> bool:
    node = place.node
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_simple(place: Place) -> bool:
    """Whether it is a statement in a function without a block, and not the end of one."""
    return (
        isinstance(place.scope, (ast.FunctionDef, ast.AsyncFunctionDef))
        and isinstance(place.node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr))
        and not is_docstring(place)
    )


def found(
    tree: Tree, paths: Iterable[str], wanted: Callable[[Place], bool] = is_simple
) -> dict[str, tuple[str, Code, Place]]:
    """The statements of some files that are wanted, by name: path, file and place of each."""
    there = {}
    for path in paths:
        if path in tree:
            code = Code(tree[path])
            there |= {p.name: (path, code, p) for p in places(path, code) if wanted(p)}
    return there


def pairs(options: dict[str, tuple[str, Code, Place]]) -> dict[str, tuple[str, Code, Place]]:
    """The same, named by what follows too: in another project something else could come second."""
    return {f"{k} | {ast.unparse(o[2].after[0])}": o for k, o in options.items() if o[2].after}


def nodes(
    tree: Tree, paths: Iterable[str], wanted: Callable[[ast.AST], bool]
) -> dict[str, tuple[str, Code, ast.AST]]:
    """The nodes in statements that are wanted, named by their statement and their text."""
    there = {}
    for path, code, place in found(tree, paths, lambda place: True).values():
        counts = Counter[str]()
        for node in own_nodes(place.node):
            if wanted(node):
                name = f"{place.name}: {code.source(node)}"
                counts[name] += 1
                there[f"{name}#{counts[name]}"] = (path, code, node)
    return there


def own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without those of statements in it, nor of f-strings.

    Python 3.11 does not know the places of the latter.
    """
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.JoinedStr):
            continue
        children = ast.iter_child_nodes(node)
        waiting += [c for c in children if not isinstance(c, (ast.stmt, ast.excepthandler))]
        if hasattr(node, "lineno") and node is not statement:
            yield node


def with_import(text: str, line: str) -> str:
    """The file with one more import, before all others."""
    code = Code(text)
    imports = [n for n in code.tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    if not imports:
        raise DoesNotApplyError
    if any(ast.unparse(node) == line for node in imports):
        return text
    first = next((n for n in imports if getattr(n, "module", "") != "__future__"), None)
    return code.changed(code.before(first, line) if first else code.behind(imports[-1], line))


def functions(code: Code) -> dict[str, Function]:
    """The functions at the top of a file."""
    return {n.name: n for n in code.tree.body if isinstance(n, ast.FunctionDef)}


def names_in(node: ast.AST) -> tuple[set[str], set[str]]:
    """The names that some code binds, and those that it reads."""
    every = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    bound = {n.id for n in every if not isinstance(n.ctx, ast.Load)}
    bound |= {n.name for n in ast.walk(node) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    bound |= {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
    augmented = [n.target for n in ast.walk(node) if isinstance(n, ast.AugAssign)]
    read = {n.id for n in every if isinstance(n.ctx, ast.Load)}
    return bound, read | {n.id for n in augmented if isinstance(n, ast.Name)}
