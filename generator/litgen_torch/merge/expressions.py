"""Three-way merge below statements: of arguments, elements, parameters, decorators, names.

Where both sides changed the same expression it is a conflict, however small: nobody can tell
whether the template's `scaler.scale(loss)` and the owner's `loss * 2` are meant to be combined.
"""

import ast
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import libcst as cst

from litgen_torch.merge.meaning import BODIES, meaning

# Fields that hold layout, not meaning.
LAYOUT = frozenset(
    {"lpar", "rpar", "lbracket", "rbracket", "comma", "semicolon", "equal", "colon", "dot"}
    | {"first_line", "last_line", "empty_lines", "leading_lines", "lines_after_decorators"}
    | {"indent", "header", "footer", "newline", "trailing_whitespace", "comment"}
    | {"posonly_ind", "first_colon", "second_colon", "__slots__"}
)
# Both sides may not change two parts of one of these: how its parts combine is its meaning.
WHOLE = (
    cst.BinaryOperation,
    cst.BooleanOperation,
    cst.Comparison,
    cst.UnaryOperation,
    cst.FormattedString,
    cst.ConcatenatedString,
)
# Where one side put one of these into another expression, the other side's version goes in there.
MOVABLE = (cst.Call, cst.BinaryOperation, cst.BooleanOperation, cst.Comparison)


HOLE = cst.Name("_")


class Conflict(Exception):
    """Both sides changed the same expression."""


def merge_nodes(base: Any, mine: Any, new: Any, *, gently: bool = False) -> Any:
    """The owner's node with what changed from base to new; raises Conflict.

    With `gently` his layout is kept also where he changed nothing else.
    """
    if same(base, new) or same(mine, new):
        return mine
    alike = type(base) is type(mine) is type(new)
    if same(base, mine) and not (gently and alike and not isinstance(base, WHOLE)):
        return new
    if (moved := _put_inside(base, mine, new)) is not None:
        return moved
    if not alike or isinstance(base, WHOLE) or _is_another_call(base, mine, new):
        raise Conflict
    changes = {}
    for name in _fields(base):
        before, here, there = (getattr(node, name) for node in (base, mine, new))
        if _plain(before) == _plain(there):
            continue
        if all(isinstance(value, cst.CSTNode) for value in (before, here, there)):
            changes[name] = merge_nodes(before, here, there, gently=gently)
        elif all(isinstance(value, (list, tuple)) for value in (before, here, there)):
            changes[name] = _merge_lists(before, here, there, gently=gently)
        elif _plain(here) == _plain(before):
            changes[name] = there
        elif _plain(here) != _plain(there):
            raise Conflict
    return mine.with_changes(**changes)


def _put_inside(base: Any, mine: Any, new: Any) -> Any:
    """The whole, where one side changed an expression and the other put it into a larger one."""
    if not isinstance(base, MOVABLE) or same(base, mine):
        return None
    if _inside(new, mine):
        return mine  # the owner, too, has what the template has, inside of something else
    here, there = _inside(base, mine), _inside(base, new)
    if len(here) == 1 and not there:
        return _replace(mine, here[0], new)
    if len(there) == 1 and not here:
        is_done = _at_the_place(mine, new, there[0]) is not None  # he put his into the same
        return mine if is_done else _replace(new, there[0], mine)
    if len(bared := _inside(new, base)) == 1:
        return _at_the_place(mine, base, bared[0])
    return None


def _at_the_place(whole: Any, other: Any, part: Any) -> Any:
    """What one expression has where another has a part, if all around is the same."""
    around = _plain(other.deep_replace(part, HOLE))
    found = (node for node in _below(whole) if isinstance(node, cst.BaseExpression))
    return next((x for x in found if _plain(whole.deep_replace(x, HOLE)) == around), None)


def _below(node: Any) -> list[Any]:
    return [inner for child in node.children for inner in (child, *_below(child))]


def _replace(whole: Any, part: Any, put: Any) -> Any:
    """The whole with another part, in brackets if it would mean something else without."""
    plain = whole.deep_replace(part, put)
    safe = put.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    bracketed = whole.deep_replace(part, safe)
    meanings = [meaning(ast.parse(f"({_code(node)})")) for node in (plain, bracketed)]
    return plain if meanings[0] == meanings[1] else bracketed


def _code(node: Any) -> str:
    return cst.Module([]).code_for_node(node)


def _inside(part: Any, whole: Any) -> list[Any]:
    """The places in an expression, below its top, where another one stands."""
    found = []
    for child in whole.children:
        found += [child] if same(child, part) else _inside(part, child)
    return found


def _is_another_call(base: Any, mine: Any, new: Any) -> bool:
    """Whether somebody replaced the function that is called: then the arguments go with it."""
    if not isinstance(base, cst.Call):
        return False
    names = [_plain(getattr(call.func, "attr", call.func)) for call in (base, mine, new)]
    return not names[0] == names[1] == names[2]


def merge_assignments(base: Any, mine: Any, new: Any) -> Any:
    """A statement of which one side may have added or dropped the type: `x = 1`, `x: int = 1`."""
    targets, types, values = zip(*map(_assignment, (base, mine, new)), strict=True)
    target = merge_nodes(*targets)
    note, value = (_merge_optional(*parts) for parts in (types, values))
    if note is None:
        return cst.Assign([cst.AssignTarget(target)], value)
    return cst.AnnAssign(target, note, value)


def _assignment(node: Any) -> tuple[Any, Any, Any]:
    if isinstance(node, cst.AnnAssign):
        return node.target, node.annotation, node.value
    if isinstance(node, cst.Assign) and len(node.targets) == 1:
        return node.targets[0].target, None, node.value
    raise Conflict


def _merge_optional(base: Any, mine: Any, new: Any) -> Any:
    if _plain(base) == _plain(new) or _plain(mine) == _plain(new):
        return mine
    if _plain(base) == _plain(mine):
        return new
    if base is None or mine is None or new is None:
        raise Conflict
    return merge_nodes(base, mine, new)


def same(a: Any, b: Any) -> bool:
    """Whether two nodes mean the same."""
    equal: bool = _plain(a) == _plain(b)
    return equal


def _fields(node: cst.CSTNode) -> list[str]:
    silent = LAYOUT if isinstance(node, cst.BaseExpression) else LAYOUT | BODIES
    if isinstance(node, cst.FormattedStringExpression):
        silent = silent - {"equal"}  # f"{x=}" is no layout
    return [
        name
        for name in node.__dataclass_fields__
        if name not in silent and not name.startswith("whitespace")
    ]


def _plain(value: Any) -> Any:
    """A node, or a field of one, as a comparable value without layout."""
    if isinstance(value, cst.SimpleString):
        return ("string", ast.literal_eval(value.value))
    if isinstance(value, cst.FormattedStringText):
        return ("text", value.value.replace("\\'", "'").replace('\\"', '"'))
    if isinstance(value, cst.FormattedString):
        return ("fstring", *map(_plain, value.parts))
    if isinstance(value, cst.CSTNode):
        return (type(value).__name__, *(_plain(getattr(value, name)) for name in _fields(value)))
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    return value


def _merge_lists(
    base: Sequence[Any], mine: Sequence[Any], new: Sequence[Any], *, gently: bool
) -> list[Any]:
    """Merge items by their keys: keywords, names, positions, or what they are."""
    before, here, there = (_keyed(items) for items in (base, mine, new))
    gone, added = before.keys() - there.keys(), there.keys() - before.keys()
    merged = dict(here)
    for key in gone & here.keys():
        if not same(here[key], before[key]):
            raise Conflict
        del merged[key]
    for key in before.keys() & there.keys():
        if key in here:
            merged[key] = merge_nodes(before[key], here[key], there[key], gently=gently)
        elif not same(before[key], there[key]):
            raise Conflict
    for key in there:
        if key in added and key in here and not same(here[key], there[key]):
            raise Conflict
        if key in added and key not in here:
            merged = _insert(merged, key, there)
    return _with_commas(list(merged.values()), mine)


def _insert(merged: dict[Any, Any], key: Any, there: dict[Any, Any]) -> dict[Any, Any]:
    """The items with that of `key`, behind the one that it follows in the template."""
    order = list(there)
    i = order.index(key)
    before = [other for other in order[:i] if other in merged]
    items = list(merged.items())
    place = list(merged).index(before[-1]) + 1 if before else 0
    if i and order[i - 1] not in merged:  # he may have another in its place
        place += sum(1 for _ in takewhile(lambda item: item[0] not in there, items[place:]))
    if isinstance(key, int) and place < len(items) and not isinstance(items[place][0], int):
        place = max((i + 1 for i, (k, _) in enumerate(items) if isinstance(k, int)), default=0)
    items.insert(place, (key, there[key]))
    return dict(items)


def _keyed(items: Sequence[Any]) -> dict[Any, Any]:
    keyed: dict[Any, Any] = {}
    for i, item in enumerate(items):
        key = _key(item, i)
        if key in keyed:
            raise Conflict
        keyed[key] = item
    return keyed


def _key(item: Any, position: int) -> Any:
    if isinstance(item, cst.Arg):
        if item.keyword:
            return item.keyword.value
        return (item.star, _plain(item.value)) if item.star else position
    if isinstance(item, cst.Param):
        return item.name.value
    if isinstance(item, (cst.Element, cst.StarredElement, cst.Decorator, cst.WithItem)):
        return _plain(item)
    if isinstance(item, (cst.DictElement, cst.ImportAlias)):
        return _plain(item.key if isinstance(item, cst.DictElement) else item.name)
    return position


def _plain_comma(comma: Any) -> Any:
    """The comma and the white space behind it, without comments."""
    after = getattr(comma, "whitespace_after", None)
    if not isinstance(after, cst.ParenthesizedWhitespace):
        return comma
    first = after.first_line.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))
    return comma.with_changes(whitespace_after=after.with_changes(first_line=first, empty_lines=[]))


def _with_commas(items: list[Any], mine: Sequence[Any]) -> list[Any]:
    """The items parted by commas as the owner parts his, the last one ending as his last does."""
    if not items or not hasattr(items[0], "comma"):
        return items
    usual = next((_plain_comma(item.comma) for item in mine[:-1]), cst.MaybeSentinel.DEFAULT)
    last = mine[-1].comma if mine else cst.MaybeSentinel.DEFAULT
    if usual is cst.MaybeSentinel.DEFAULT:
        usual = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    known = [item.comma for item in mine[:-1]]
    fixed = []
    for item in items[:-1]:
        kept = item.comma if any(item.comma is comma for comma in known) else usual
        fixed.append(_ending(item.with_changes(comma=kept), ""))
    ending = getattr(mine[-1], "whitespace_after_arg", "") if mine else ""
    return [*fixed, _ending(items[-1].with_changes(comma=last), ending)]


def _ending(item: Any, space: Any) -> Any:
    """An argument with other white space before what follows it; other items have none."""
    if not isinstance(item, cst.Arg):
        return item
    return item.with_changes(whitespace_after_arg=space or cst.SimpleWhitespace(""))
