"""A Python file as a tree of statements: compared by meaning, edited in place, written losslessly.

Meaning comes from `ast` (no positions, quotes, parentheses, comments or layout), the text from
LibCST, whose nodes know their every space. Both trees are walked side by side.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from litgen_torch.merge.meaning import has_docstring, head_of, key_of, meaning, parsed

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # a form feed ends none


@dataclass(eq=False)
class Block:
    """The statements behind one colon (or a whole file), and what stands before it."""

    kind: str  # if, elif, else, for, def, …; module
    node: Any  # the LibCST node that has the body
    head: str  # the meaning of what stands before the colon
    statements: list["Statement"]
    owner: "Statement | None" = None
    changed: bool = False

    def adopt(self) -> None:
        """Be the place where all of its statements are."""
        for statement in self.statements:
            statement.block = self
        self.changed = True


@dataclass(eq=False)
class Statement:
    """One statement. A simple one has no blocks; a compound one's node is that of `blocks[0]`."""

    node: Any
    tree: ast.stmt
    key: str  # its meaning
    text: str  # its lines, comments above included
    blocks: list[Block] = field(default_factory=list)
    block: Block = field(default=None)  # type: ignore[assignment]  # where it is
    line: "Line | None" = None  # where several share a line
    changed: bool = False

    @property
    def number(self) -> int:
        """The line in its file, from 1."""
        return self.tree.lineno

    def walk(self) -> Iterator["Statement"]:
        """This statement and all inside it."""
        yield self
        for block in self.blocks:
            for statement in block.statements:
                yield from statement.walk()


@dataclass(eq=False)
class Line:
    """A line of several statements, parted by semicolons."""

    node: cst.SimpleStatementLine
    statements: list[Statement]

    def is_whole(self, now: list[Statement]) -> bool:
        """Whether all of it stands at the beginning of these statements."""
        return now[: len(self.statements)] == self.statements

    def render(self) -> cst.SimpleStatementLine:
        """The line as it is now."""
        if not any(part.changed for part in self.statements):
            return self.node
        ends = [small.semicolon for small in self.node.body]
        parts = [
            statement.node.body[0].with_changes(semicolon=end)
            for statement, end in zip(self.statements, ends, strict=True)
        ]
        first = self.statements[0].node
        return self.node.with_changes(body=parts, leading_lines=first.leading_lines)


@dataclass
class Source:
    """A parsed file."""

    text: str
    root: Block
    slices: dict[int, str]  # the lines of the statements at the top, by the id of their nodes

    def walk(self) -> Iterator[Statement]:
        for statement in self.root.statements:
            yield from statement.walk()


def parse(text: str) -> Source:
    """Read a file; raises SyntaxError, or ValueError where LibCST cannot read it."""
    tree = parsed(text)
    try:
        module = cst.parse_module(text)
    except (cst.ParserSyntaxError, RecursionError) as error:
        raise ValueError(f"LibCST cannot read it: {error}") from error
    lines = LINE.findall(text)
    root = Block("module", module, "", _statements(module.body, tree, lines))
    root.adopt()
    root.changed = False
    slices = _slices(module, root.statements, lines)
    if joined(module, slices.values()) != text:
        raise ValueError("LibCST does not write it back as it is")
    return Source(text, root, slices)


def _slices(module: cst.Module, statements: list[Statement], lines: list[str]) -> dict[int, str]:
    """The lines of each statement at the top, up to the next one's."""
    firsts, rest = [], iter(statements)
    for node in module.body:
        statement = next(rest)
        firsts.append(_first_line(node, statement.tree))
        for _ in range(len(node.body) - 1 if isinstance(node, cst.SimpleStatementLine) else 0):
            next(rest)
    if lines and not module.has_trailing_newline:
        lines = [*lines[:-1], lines[-1] + module.default_newline]
    ends = [*firsts, len(lines) - len(module.footer)][1:]
    return {
        id(node): "".join(lines[first:end])
        for node, first, end in zip(module.body, firsts, ends, strict=True)
    }


def _first_line(node: Any, tree: ast.stmt) -> int:
    """The index of the line where a statement begins, comments above it included."""
    first: int = min([tree.lineno, *(d.lineno for d in getattr(tree, "decorator_list", ()))])
    return max(0, first - 1 - len(getattr(node, "leading_lines", ())))


def joined(module: cst.Module, parts: Iterable[str]) -> str:
    """The lines of a file's statements with what stands before and behind them."""
    around = ["".join(map(module.code_for_node, some)) for some in (module.header, module.footer)]
    text = around[0] + "".join(parts) + around[1]
    if module.has_trailing_newline:
        return text or module.default_newline
    return text.removesuffix("\n").removesuffix("\r")


def _statements(nodes: Any, parent: ast.AST, lines: list[str], name: str = "body") -> Any:
    trees: list[ast.stmt] = getattr(parent, name)
    flat = [*_flat(nodes)]
    if len(flat) != len(trees):
        raise ValueError("LibCST and Python disagree about its statements")
    found: list[Statement] = []
    for (node, line), tree in zip(flat, trees, strict=True):
        is_first = not found and has_docstring(parent, name)
        statement = _statement(node, tree, lines, is_first=is_first)
        if line is not None:
            statement.line = line
            line.statements.append(statement)
        found.append(statement)
    return found


def _flat(nodes: Any) -> Iterator[tuple[Any, Line | None]]:
    """Statements one by one, also those that share a line."""
    for node in nodes:
        if not isinstance(node, cst.SimpleStatementLine) or len(node.body) == 1:
            yield node, None
            continue
        line, last = Line(node, []), len(node.body) - 1
        for i, small in enumerate(node.body):
            alone = cst.SimpleStatementLine(
                [small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)]
            )
            if i == 0:
                alone = alone.with_changes(leading_lines=node.leading_lines)
            if i == last:
                alone = alone.with_changes(trailing_whitespace=node.trailing_whitespace)
            yield alone, line


def _statement(node: Any, tree: ast.stmt, lines: list[str], *, is_first: bool) -> Statement:
    text = "".join(lines[_first_line(node, tree) : tree.end_lineno])
    blocks = [*_blocks(node, tree, lines)]
    if blocks:
        key = "\n".join(
            [f"{b.kind} {b.head}" + "".join(f"\n {s.key}" for s in b.statements) for b in blocks]
        )
    else:
        key = key_of(tree, is_first=is_first)
    statement = Statement(node, tree, key, text, blocks)
    for block in blocks:
        block.owner = statement
        for inside in block.statements:
            inside.block = block
    return statement


def _blocks(node: Any, tree: Any, lines: list[str]) -> Iterator[Block]:
    if isinstance(node, cst.SimpleStatementLine):
        return
    if isinstance(node, cst.Match):
        yield Block("match", node, meaning(tree.subject), [])
        for case, about in zip(node.cases, tree.cases, strict=True):
            head = f"{meaning(about.pattern)} {meaning(about.guard)}"
            yield Block("case", case, head, _statements(case.body.body, about, lines))
        return
    parts = [(_word(node), node, tree, "body")]
    if isinstance(node, (cst.Try, cst.TryStar)):
        handlers = zip(node.handlers, tree.handlers, strict=True)
        parts += [("except", handler, about, "body") for handler, about in handlers]
    after = getattr(node, "orelse", None)
    while isinstance(after, cst.If):  # elif
        tree = tree.orelse[0]
        parts.append(("elif", after, tree, "body"))
        after = after.orelse
    if after is not None:
        parts.append(("else", after, tree, "orelse"))
    if getattr(node, "finalbody", None) is not None:
        parts.append(("finally", node.finalbody, tree, "finalbody"))
    for kind, part, about, name in parts:
        head = "" if kind in ("else", "finally") else head_of(about)
        inside = part.body.body  # of an IndentedBlock or a suite on the same line
        if isinstance(part.body, cst.SimpleStatementSuite):
            inside = [cst.SimpleStatementLine(part.body.body)]
        yield Block(kind, part, head, _statements(inside, about, lines, name))


def _word(node: Any) -> str:
    name = type(node).__name__.lower()
    return {"functiondef": "def", "classdef": "class", "trystar": "try"}.get(name, name)
