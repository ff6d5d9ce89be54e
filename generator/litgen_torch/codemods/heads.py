"""The codemod that lets attention count the heads that are there, not those of the settings."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Source
from litgen_torch.codemods.step import Edits
from litgen_torch.merge.outcome import Refusal

COUNTS = ("heads", "kv_heads")  # what attention calls their numbers
SHAPES = ("view", "reshape", "unflatten", "rearrange")
HAND = (
    "take their number from the tensor: x.unflatten(-1, (x.shape[-1] // size, size)), "
    "and .flatten(2) on the way back"
)
SPLIT = '''def split_heads(x{0}, size{1}){2}:
    """{3}"""
    return x.unflatten(-1, (x.shape[-1] // size, size)).transpose(1, 2)'''


@dataclass(frozen=True)
class SplitHeads:
    """`view(a, b, self.heads, size).transpose(1, 2)` and the way back, wherever they stand."""

    target: ClassVar[str] = "split_heads"
    kind: ClassVar[str] = "rewrite"

    def is_due(self, base: Mapping[str, str]) -> bool:
        """Whether litgen wrote it into this project."""
        return self.concerns(base.get("model.py", ""))

    def concerns(self, text: str) -> bool:
        return ".transpose(" in text and any(f"self.{name}," in text for name in COUNTS)

    def edit(self, source: Source, others: Others) -> Edits:
        edits = Edits()
        if "split_heads" in source.identifiers:
            return edits
        places = [*_methods(source)]
        for _, method, names in places:
            _rewrite(source, method, names, edits)
        if edits.uses:
            outer, _, names = places[0]
            edits.text.append(_definition(source, outer, names))
        return edits


def unfit_for(
    new: Mapping[str, str], base: Mapping[str, str], mine: Mapping[str, str]
) -> list[Refusal]:
    """Where the owner's model counts all heads, and a plan that comes gives a process some."""
    plan = new.get("plan.py", "")
    if plan == base.get("plan.py") or "attention.query" not in plan:
        return []
    model = mine.get("model.py", "")
    own = [p for p in mine if p.endswith(".py") and p not in base and _takes(model, p)]
    return [r for p in ("model.py", *sorted(own)) for r in counting_all_heads(p, mine.get(p, ""))]


def _takes(text: str, path: str) -> bool:
    """Whether a file imports from another."""
    module = path.removesuffix(".py").replace("/", ".")
    return bool(re.search(rf"(?m)^(?:from|import) {re.escape(module)}\b", text))


def counting_all_heads(path: str, text: str) -> Iterator[Refusal]:
    """The places of a file that lay a tensor out with the number of heads of the settings."""
    try:
        source = Source(path, text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for call in ast.walk(source.tree):
        if isinstance(call, ast.Call) and _lays_out_all(call):
            reason = "this counts all heads, and a process would have some of them"
            yield Refusal(
                path, call.lineno, source.where(call), reason, source.line(call.lineno), "", HAND
            )


def _lays_out_all(call: ast.Call) -> bool:
    func = call.func
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    given += [part for arg in given if isinstance(arg, ast.Tuple) for part in arg.elts]
    return name in SHAPES and any(map(_is_count, given))


def _methods(source: Source) -> Iterator[tuple[ast.stmt, ast.stmt, tuple[str, str]]]:
    """Methods that split heads: the class, the method, its names of the first two sizes."""
    for outer in source.tree.body:
        for method in outer.body if isinstance(outer, ast.ClassDef) else ():
            if names := _names(source, method):
                yield outer, method, names


def _names(source: Source, method: ast.stmt) -> tuple[str, str] | None:
    """What a method calls the first two sizes of its `x`, by which alone it splits heads."""
    found = {node: parts for node in ast.walk(method) if (parts := _parts(node))}
    if len({*found.values()}) != 1 or any("#" in source.words(node) for node in found):
        return None
    ((x, a, b),) = {*found.values()}
    unpacked = {names for names in _unpacked(method).values() if names[:3] == (x, a, b)}
    nodes = [node for node in ast.walk(method) if isinstance(node, ast.Name)]
    is_set = Counter(node.id for node in nodes if isinstance(node.ctx, ast.Store))
    is_clear = all(is_set[name] == (name != x) for names in unpacked for name in names)
    return (a, b) if len(unpacked) == 1 and is_clear else None


def _parts(node: ast.AST) -> tuple[str, str, str] | None:
    """The names x, a and b of `layer(x).view(a, b, self.heads, size).transpose(1, 2)`."""
    match _transposed(node):
        case ast.Call(
            func=ast.Attribute(
                value=ast.Call(args=[ast.Name(id=x)], keywords=[]), attr="view" | "reshape"
            ),
            args=[ast.Name(id=a), ast.Name(id=b), count, size],
            keywords=[],
        ) if _is_count(count) and not isinstance(size, (ast.UnaryOp, ast.Starred)):
            return x, a, b
    return None


def _transposed(node: ast.AST) -> ast.expr | None:
    """What stands before `.transpose(1, 2)`."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=inner, attr="transpose"),
            args=[ast.Constant(value=1), ast.Constant(value=2)],
            keywords=[],
        ):
            return inner
    return None


def _is_count(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in COUNTS


def _unpacked(method: ast.stmt) -> dict[ast.Assign, tuple[str, ...]]:
    """Statements `a, b, c = x.shape` of a method, and their names: x, a, b, c."""
    found = dict[ast.Assign, tuple[str, ...]]()
    for node in ast.walk(method):
        match node:
            case ast.Assign(
                targets=[ast.Tuple(elts=[ast.Name(id=a), ast.Name(id=b), ast.Name(id=c)])],
                value=ast.Attribute(value=ast.Name(id=x), attr="shape"),
            ):
                found[node] = x, a, b, c
    return found


def _rewrite(source: Source, method: ast.stmt, names: tuple[str, str], edits: Edits) -> None:
    """The edits of one method."""
    width = {found[3] for found in _unpacked(method).values() if found[1:3] == names}
    gone = set[ast.AST]()
    for node in ast.walk(method):
        inner = _transposed(node)
        if _parts(node) and isinstance(inner, ast.Call):
            assert isinstance(inner.func, ast.Attribute)
            value, size = source.words(inner.func.value), source.words(inner.args[3])
            if _put(source, node, f"split_heads({value}, {size})", edits):
                gone |= {*inner.args[:2]}
        elif (joined := _joined(node)) and joined[:2] == names and joined[2] in width:
            assert isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if _put(source, node, f"{source.words(node.func.value)}.flatten(2)", edits):
                gone |= {*node.args}
                _comment(source, node, f"  # ({', '.join(joined)})", edits)
    _drop_unused(source, method, gone, edits)


def _joined(node: ast.AST) -> tuple[str, str, str] | None:
    """The names of `x.transpose(1, 2).reshape(a, b, c)`."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=inner, attr="reshape"),
            args=[ast.Name(id=a), ast.Name(id=b), ast.Name(id=c)],
            keywords=[],
        ) if _transposed(inner):
            return a, b, c
    return None


def _put(source: Source, node: ast.AST, words: str, edits: Edits) -> bool:
    """Write an expression anew, unless a comment stands in it, or it is part of another."""
    span = source.span(node)
    if "#" in source.words(node) or any(start <= span[0] < end for start, end, _ in edits.text):
        return False
    edits.text.append((*span, words))
    edits.uses += 1
    return True


def _comment(source: Source, node: ast.AST, words: str, edits: Edits) -> None:
    """Say the shape behind a line that had said it by its names, if there is room."""
    end = source.line_end(source.span(node)[1])
    line = source.text[source.line_start(end) : end]
    if "#" not in line and len(line + words) <= 100:
        edits.text.append((end, end, words))


def _drop_unused(source: Source, method: ast.stmt, gone: set[ast.AST], edits: Edits) -> None:
    """Drop `a, b, c = x.shape` where nothing reads them any more."""
    nodes = (node for node in ast.walk(method) if node not in gone)
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for statement, names in _unpacked(method).items():
        start, end = source.span(statement)
        first, following = source.line_start(start), source.next_line(end)
        is_alone = source.text[first:following].strip() == source.words(statement)
        is_alone &= statement in getattr(method, "body", [])
        if gone and is_alone and not read & {*names[1:]}:
            edits.text.append((first, following, ""))


def _definition(source: Source, outer: ast.stmt, names: tuple[str, str]) -> tuple[int, int, str]:
    """The function, behind the class and the classes that follow it."""
    body = source.tree.body
    before = outer
    for following in body[body.index(outer) + 1 :]:
        if not isinstance(following, ast.ClassDef):
            break
        before = following
    end = source.line_end(source.span(before)[1])
    typed = "Tensor" in source.identifiers and source.is_free("Tensor", "torch.Tensor")
    words = (": Tensor", ": int", " -> Tensor") if typed else ("", "", "")
    new = source.line_break(end)
    shapes = f"({', '.join(names)}, heads * size) to ({names[0]}, heads, {names[1]}, size)"
    more = ", for the heads that are here"
    shapes += more if len(shapes + more) <= 89 else ""
    text = SPLIT.format(*words, f"{shapes}.").replace("\n", new)
    return end, end, new * 3 + text
