"""What is checked of every merged file before anything is written."""

import ast
import builtins
import symtable
from collections import Counter
from collections.abc import Iterable

from litgen_torch.merge.comments import comments
from litgen_torch.merge.meaning import meaning, simple_keys
from litgen_torch.merge.source import Statement

KNOWN = frozenset(dir(builtins)) | {"__file__", "__name__", "__doc__", "__path__"}


def undefined(text: str) -> set[str]:
    """Names that a file uses and nobody defines."""
    table = symtable.symtable(text, "f.py", "exec")
    defined = KNOWN | {s.get_name() for s in table.get_symbols() if _is_bound(s)}
    return {name for name in _globals(table) if name not in defined}


def means_the_same(one: str, other: str) -> bool:
    """Whether two files differ in their layout alone, comments being the same."""
    try:
        trees = [meaning(ast.parse(text.removeprefix("\ufeff"))) for text in (one, other)]
    except (SyntaxError, ValueError):
        return False
    return trees[0] == trees[1] and comments(one) == comments(other)


def used_names(text: str) -> set[str]:
    """Every name that a file reads."""
    tree = ast.parse(text)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    exported = {t for t in texts if isinstance(t, str) and t.isidentifier()}
    return names | exported


def used_too_early(text: str) -> set[tuple[str, str]]:
    """Functions and their variables that are read on a line before the first that sets them."""
    found = set()
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            set_on, read_on = _lines(function, ast.Store), _lines(function, ast.Load)
            early = {n for n in set_on.keys() & read_on.keys() if read_on[n] < set_on[n]}
            found |= {(function.name, name) for name in early - _parameters(function)}
    return found


def lost(mine: str, base: str, merged: str, combined: Iterable[Statement]) -> list[str]:
    """Statements and comments of the owner's that the merged file has no longer."""
    own, template, result = map(simple_keys, (mine, base, merged))
    gone = own - template - result - Counter(statement.key for statement in combined)
    words = [Counter(comments(text)) for text in (mine, base, merged)]
    return [*gone, *(words[0] - words[1] - words[2])]


def _is_bound(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _globals(table: symtable.SymbolTable) -> set[str]:
    names = {
        s.get_name()
        for s in table.get_symbols()
        if s.is_referenced() and (s.is_global() or table.get_type() == "module")
    }
    return names.union(*(_globals(child) for child in table.get_children()))


def _lines(function: ast.AST, context: type[ast.expr_context]) -> dict[str, int]:
    lines: dict[str, int] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    return lines


def _parameters(function: ast.AST) -> set[str]:
    return {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
