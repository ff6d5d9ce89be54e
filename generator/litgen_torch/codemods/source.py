"""A Python file as codemods see it: what each name stands for, and where it is in the text.

The syntax tree only says what to change and where; the change is made in the text itself. So
whatever is not part of it stays byte for byte: comments, tabs, line ends, form feeds.
"""

import ast
import bisect
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from litgen_torch.codemods.names import Binding, Import, Names, lookup
from litgen_torch.merge.lines import LINE_END

BOM = "\ufeff"

Edit = tuple[int, int, str]  # from, to, and what stands there then
Reference = ast.Name | ast.Attribute


class Source:
    """A parsed file; raises SyntaxError or ValueError for what is no Python."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        begin = len(BOM) if text.startswith(BOM) else 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escape sequences are not our business
            self.tree = ast.parse(text[begin:], path)
        self._starts = [begin, *(match.end() for match in LINE_END.finditer(text))]

    @cached_property
    def names(self) -> Names:
        names = Names(self.path)
        names.visit(self.tree)
        return names

    @cached_property
    def identifiers(self) -> set[str]:
        """Every name that this file binds or uses, in whatever scope."""
        used = {name.id for name, _ in self.names.uses}
        return used.union(*(scope.bindings for scope in self.names.scopes))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {c: node for node in ast.walk(self.tree) for c in ast.iter_child_nodes(node)}

    @cached_property
    def _bound(self) -> dict[ast.AST, list[Binding]]:
        return {name: lookup(name.id, scope) for name, scope in self.names.uses}

    def bindings(self, name: ast.Name) -> list[Binding]:
        """All places that may have given this name its meaning."""
        return self._bound.get(name, [])

    def meanings(self, node: ast.AST) -> set[str]:
        """The dotted paths that an expression may stand for; "" among them: or something else."""
        if isinstance(node, ast.Name):
            return {binding.dotted for binding in self.bindings(node)}
        if isinstance(node, ast.Attribute):
            return {found and f"{found}.{node.attr}" for found in self.meanings(node.value)}
        return set()

    def is_unknown(self, node: ast.AST) -> bool:
        """Whether nothing is known of what an expression may stand for."""
        return self.meanings(node) <= {""}

    def is_free(self, name: str, dotted: str) -> bool:
        """Whether a name can stand for this path: it stands for nothing else here."""
        bound = [b for scope in self.names.scopes for b in scope.bindings.get(name, [])]
        if bound:
            return all(binding.dotted == dotted for binding in bound)
        return name not in self.identifiers

    def exports(self, name: str) -> bool:
        """Whether `__all__` has the name."""
        return any(
            isinstance(part, ast.Constant) and part.value == name
            for use, _ in self.names.uses
            if use.id == "__all__"
            for part in ast.walk(self.parents[use])
        )

    def references(self, dotted: str) -> list[Reference]:
        """The expressions that stand, or may stand, for what has this path."""
        last = dotted.rpartition(".")[2]
        found: list[Reference] = [use for use, _ in self.names.uses]
        found += [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute) and node.attr == last
        ]
        return [node for node in found if dotted in self.meanings(node)]

    def imports_of(self, dotted: str) -> list[tuple[Import, ast.alias]]:
        """The statements that bind a name to just this path, each with its part about it."""
        return [
            (binding.statement, binding.node)
            for scope in self.names.scopes
            for found in scope.bindings.values()
            for binding in found
            if binding.dotted == dotted
            and binding.statement
            and isinstance(binding.node, ast.alias)
        ]

    def stars(self) -> list[ast.ImportFrom]:
        """The statements that import all names of a module."""
        return [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        ]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends in the text."""
        place = node.__dict__  # the types do not know which nodes have one
        return (
            self._offset(place["lineno"], place["col_offset"]),
            self._offset(place["end_lineno"], place["end_col_offset"]),
        )

    def words(self, node: ast.AST) -> str:
        """A node as it is written."""
        return self.text[slice(*self.span(node))]

    def is_at(self, node: ast.expr) -> bool:
        """Whether the node is where it says. Before Python 3.12, f-strings' parts may not be."""
        if self._spans[type(node), self.span(node)] > 1:
            return False
        try:
            there = ast.parse(f"({self.words(node)}\n)", mode="eval").body
        except SyntaxError:
            return False
        return ast.unparse(there) == ast.unparse(node)

    @cached_property
    def _spans(self) -> Counter[tuple[type, tuple[int, int]]]:
        kinds = (ast.Name, ast.Attribute, ast.Call)
        nodes = (node for node in ast.walk(self.tree) if isinstance(node, kinds))
        return Counter((type(node), self.span(node)) for node in nodes)

    def where(self, node: ast.AST) -> str:
        """The function or class that a node is in, "" at the top of the file."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                return f"{node.name}()"
            if isinstance(node, ast.ClassDef):
                return f"class {node.name}"
        return ""

    def line(self, number: int) -> str:
        """A line without its indentation, to be shown."""
        return LINE_END.split(self.text[self._starts[number - 1] :], maxsplit=1)[0].strip()

    def line_start(self, offset: int) -> int:
        return self._starts[bisect.bisect_right(self._starts, offset) - 1]

    def line_end(self, offset: int) -> int:
        """Where the line ends, before what ends it."""
        found = LINE_END.search(self.text, offset)
        return found.start() if found else len(self.text)

    def line_break(self, offset: int) -> str:
        """How this line ends; the last one as the first."""
        found = LINE_END.search(self.text, offset) or LINE_END.search(self.text)
        return found.group() if found else "\n"

    def next_line(self, offset: int) -> int:
        """Where the next line begins."""
        found = LINE_END.search(self.text, offset)
        return found.end() if found else len(self.text)

    def _offset(self, line: int, column: int) -> int:
        start = self._starts[line - 1]
        if self.text.isascii():
            return start + column
        # Columns count bytes, of which a line has at least as many as characters.
        return start + len(self.text[start : start + column].encode()[:column].decode())


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with these edits, which do not overlap; at one place the earlier goes before."""
    parts, done = [], 0
    for start, end, put in sorted(edits, key=lambda edit: edit[:2]):
        assert start >= done, "edits overlap"
        parts += [text[done:start], put]
        done = end
    return "".join([*parts, text[done:]])
