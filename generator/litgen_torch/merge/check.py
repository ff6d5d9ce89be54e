"""What is checked of every merged file before anything is written."""

import ast
import builtins
import re
import symtable
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from litgen_torch.merge.comments import comments
from litgen_torch.merge.lines import LINE_END, line_in
from litgen_torch.merge.meaning import meaning, parsed, simple_keys
from litgen_torch.merge.source import Statement

KNOWN = frozenset(dir(builtins)) | {"__file__", "__name__", "__doc__", "__path__"}


@dataclass(frozen=True)
class Problem:
    """What would be wrong with a merged file, at the owner's line."""

    reason: str
    line: int = 1
    by_hand: str = "mend that first; where you accept it, all of this file stays as it is"
    at: int = 0  # the line of the merged file that has it: a line of his, which may stay; 0: none


def problems(mine: str, merged: str, new: str) -> list[Problem]:
    """What is wrong with a merged file that is not so in the owner's, nor in the template's."""
    try:
        tree = parsed(merged)
    except SyntaxError as error:
        return [Problem(f"the result would not be Python: {error.msg}")]
    names = undefined(merged)
    unset = _attributes(tree, ast.Load) - _attributes(tree, ast.Store)
    unset &= _attributes(parsed(new or mine), ast.Store) - _attributes(parsed(mine), ast.Load)
    early = used_too_early(tree)
    if names:
        names -= undefined(mine) | undefined(new)
    if early:
        early -= used_too_early(parsed(mine)) | used_too_early(parsed(new))
    found = [
        _use(
            (mine, merged, at),
            f"{name!r}, which nothing would define any more",
            f"write it without {name!r}, or define that yourself",
        )
        for name in sorted(names)
        for at in sorted(set(_uses(tree, name)))
    ]
    found += [
        Problem(f"{name!r}, which the template uses in {where}(), is a variable of yours there")
        for where, name in sorted(_captured(mine, merged, new))
    ]
    found += [Problem(f"nothing would set {name!r} any more") for name in sorted(unset)]
    return found + [
        _use(
            (mine, merged, at),
            f"{name!r}, which {where}() would set on a later line only",
            f"set {name!r} before, or move this behind where it is set",
        )
        for where, name, at in sorted(_placed(tree, early))
    ]


def _use(place: tuple[str, str, int], what: str, by_hand: str) -> Problem:
    """What is wrong with a line of the merged file, if it is the owner's or the template's."""
    mine, merged, at = place
    line = line_in(merged, mine, at)
    own, found = (LINE_END.split(mine) + [""])[line - 1], LINE_END.split(merged)[at - 1].strip()
    if own.strip() == found:
        return Problem(f"this uses {what}", line, by_hand, at)
    return Problem(f"{found!r}, the template's, uses {what}", line)


def _attributes(tree: ast.Module, context: type[ast.expr_context]) -> set[str]:
    """The attributes of `self` that a file sets, or reads."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own = [n for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "self"]
    return {f"self.{node.attr}" for node in own if isinstance(node.ctx, context)}


def undefined(text: str) -> set[str]:
    """Names that a file uses and nobody defines."""
    table = symtable.symtable(text, "f.py", "exec")
    defined = KNOWN | {s.get_name() for s in table.get_symbols() if _is_bound(s)}
    return {name for name in _globals(table) if name not in defined}


def means_the_same(one: str, other: str) -> bool:
    """Whether two files differ in their layout alone, comments being the same."""
    try:
        trees = [meaning(parsed(text.removeprefix("\ufeff"))) for text in (one, other)]
    except (SyntaxError, ValueError):
        return False
    return trees[0] == trees[1] and comments(one) == comments(other)


def used_names(text: str) -> set[str]:
    """Every name that a file reads."""
    tree = parsed(text)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    exported = {t for t in texts if isinstance(t, str) and t.isidentifier()}
    return names | exported


def used_too_early(tree: ast.Module) -> set[tuple[str, str]]:
    """Functions and their variables that are read on a line before the first that sets them."""
    found = set()
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            set_on, read_on = _lines(function)
            early = {n for n in set_on.keys() & read_on.keys() if read_on[n] < set_on[n]}
            early -= _parameters(function) if early else set()
            found |= {(function.name, name) for name in early}
    return found


def _captured(mine: str, merged: str, new: str) -> set[tuple[str, str]]:
    """Functions, and names from outside them that the template's lines would find taken there."""
    his, theirs = _scopes(mine), _scopes(new)
    pairs = {
        (where, name)
        for where in his.keys() & theirs.keys()
        for name in his[where][0] & theirs[where][1]
    }
    if not pairs:
        return set()
    reads = [_reads(text) for text in (mine, merged)]
    return {pair for pair in pairs if reads[1][pair] > reads[0][pair]}


def _scopes(text: str) -> dict[str, tuple[set[str], set[str]]]:
    """The functions of a file by name: their variables, and the names from outside they use."""
    found, waiting = {}, [symtable.symtable(text, "f.py", "exec")]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        if table.get_type() == "function":
            names = table.get_symbols()
            own = {s.get_name() for s in names if s.is_local()}
            found[table.get_name()] = own, {s.get_name() for s in names if s.is_global()}
    return found


def _reads(text: str) -> Counter[tuple[str, str]]:
    """How often each function reads each name."""
    return Counter(
        (function.name, node.id)
        for function in ast.walk(parsed(text))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )


def lost(mine: str, base: str, merged: str, combined: Iterable[Statement]) -> list[Problem]:
    """Statements and comments of the owner's that the merged file has no longer."""
    own, template, result = map(simple_keys, (mine, base, merged))
    gone = own - template - result - Counter(statement.key for statement in combined)
    texts = [*gone, *_lost_comments(mine, base, merged)]
    return [Problem(f"this of yours would be lost: {text}") for text in texts]


def _lost_comments(mine: str, base: str, merged: str) -> Counter[str]:
    lines = [Counter(re.findall(r"(?m)\S.*#.*$|#.*$", text)) for text in (mine, base, merged)]
    if not lines[0] - lines[1] - lines[2]:
        return Counter()  # every line of his that may hold a comment is there
    words = [Counter(comments(text)) for text in (mine, base, merged)]
    return words[0] - words[1] - words[2]


def _uses(node: ast.AST, name: str) -> Iterator[int]:
    """The lines below a node that read a name from outside their function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and child.id == name and isinstance(child.ctx, ast.Load):
            yield child.lineno
        is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if not (is_function and name in _parameters(child) | _lines(child)[0].keys()):
            yield from _uses(child, name)


def _placed(tree: ast.Module, early: set[tuple[str, str]]) -> set[tuple[str, str, int]]:
    """The same functions and variables with the lines that read them first."""
    functions = (
        n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    read_on = {function.name: _lines(function)[1] for function in functions}
    return {(where, name, read_on[where].get(name, 0)) for where, name in early}


def _is_bound(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _globals(table: symtable.SymbolTable) -> set[str]:
    names = {
        s.get_name()
        for s in table.get_symbols()
        if s.is_referenced() and (s.is_global() or table.get_type() == "module")
    }
    return names.union(*(_globals(child) for child in table.get_children()))


def _lines(function: ast.AST) -> tuple[dict[str, int], dict[str, int]]:
    """The first lines on which names are set, and read; what a comprehension sets is its own."""
    set_on, read_on = dict[str, int](), dict[str, int]()
    nodes = [*ast.walk(function)]
    loops = [node.target for node in nodes if isinstance(node, ast.comprehension)]
    inner = {node for target in loops for node in ast.walk(target)}
    for node in nodes:
        if isinstance(node, ast.Name) and node not in inner:
            lines = set_on if isinstance(node.ctx, ast.Store) else read_on
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    return set_on, read_on


def _parameters(function: ast.AST) -> set[str]:
    return {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
