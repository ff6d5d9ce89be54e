"""How alike two statements are, and what a statement is known by."""

import ast
import re
from collections import Counter
from difflib import SequenceMatcher

from litgen_torch.merge.meaning import meaning
from litgen_torch.merge.source import Statement

LONG = 500  # words; of longer statements the order of the words is not looked at


def likeness(a: Statement, b: Statement) -> float:
    """From 0, nothing in common, to 1, equal."""
    if a.key == b.key:
        return 1.0
    if bool(a.blocks) != bool(b.blocks):
        return 0.0
    if a.blocks:
        return _likeness_of_blocks(a, b)
    if _uses_result(a, b) or _uses_result(b, a):
        return 0.9
    if _family(a) != _family(b):
        return 0.0
    if a.key.startswith("doc ") and b.key.startswith("doc "):
        return 0.8
    ratio = _ratio(a.key, b.key)
    known = label(a) == label(b) != "" or _value(a) == _value(b) is not None
    return 0.8 + 0.2 * ratio if known else 0.8 * ratio


def _uses_result(a: Statement, b: Statement) -> bool:
    """Whether b assigns what a only calls."""
    is_call = isinstance(a.tree, ast.Expr) and isinstance(a.tree.value, ast.Call)
    return is_call and _value(b) == meaning(a.tree.value)  # type: ignore[attr-defined]


def _likeness_of_blocks(a: Statement, b: Statement) -> float:
    if _is_inside(a, b) or _is_inside(b, a):
        return 0.0
    inside = [Counter(s.key for s in x.walk() if not s.blocks) for x in (a, b)]
    shared = (inside[0] & inside[1]).total()
    dice = 2 * shared / max(1, inside[0].total() + inside[1].total())
    defines = isinstance(a.tree, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    if defines or hasattr(b.tree, "name"):
        if _family(a) != _family(b):
            return 0.0
        same = defined(a) == defined(b)
        return 0.8 + 0.2 * dice if same else dice
    if _family(a) == _family(b) and label(a) == label(b):
        return 0.7 + 0.3 * dice
    return dice


def _is_inside(a: Statement, b: Statement) -> bool:
    """Whether b is a block around a, rather than a version of it."""
    names = (_family(a), label(a))
    if names == (_family(b), label(b)):
        return False
    inner = [s for s in b.walk() if s is not b and s.blocks]
    return any(s.key == a.key or (_family(s), label(s)) == names for s in inner)


def _family(statement: Statement) -> str:
    name = type(statement.tree).__name__
    return "Assign" if name in ("AnnAssign", "AugAssign") else name.removeprefix("Async")


def _value(statement: Statement) -> str | None:
    """What is assigned, if it is more than a name or a number."""
    value = getattr(statement.tree, "value", None)
    is_assigned = isinstance(statement.tree, (ast.Assign, ast.AnnAssign))
    return meaning(value) if is_assigned and isinstance(value, ast.Call) else None


def label(statement: Statement) -> str:
    """What a statement is known by: what it defines, assigns, calls, or loops over."""
    match statement.tree:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=targets):
            return ", ".join(map(meaning, targets))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return meaning(target)
        case ast.For(target=target) | ast.AsyncFor(target=target):
            return meaning(target)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return meaning(items)
        case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test):
            return meaning(test)
        case ast.Expr(value=ast.Call(func=func)):
            return meaning(func)
        case ast.Import(names=names):
            return ", ".join(alias.name for alias in names)
        case ast.ImportFrom(module=module, level=level):
            return f"{'.' * level}{module}"
        case ast.Return() | ast.Try() | ast.Raise():
            return type(statement.tree).__name__
    return ""


def defined(statement: Statement) -> str:
    """The name that a statement defines: a function's, a class's, or that of a class's field."""
    owner = statement.block.owner if statement.block else None
    if isinstance(statement.tree, ast.AnnAssign) and owner and isinstance(owner.tree, ast.ClassDef):
        return f"{owner.tree.name}.{meaning(statement.tree.target)}"
    return getattr(statement.tree, "name", "")


def _ratio(a: str, b: str) -> float:
    """How many of the names and values they share, in order."""
    words = re.findall(r"'\w+'|\d+", a), re.findall(r"'\w+'|\d+", b)
    matcher = SequenceMatcher(None, words[0], words[1], autojunk=False)
    is_long = max(map(len, words)) > LONG
    return matcher.quick_ratio() if is_long else matcher.ratio()
