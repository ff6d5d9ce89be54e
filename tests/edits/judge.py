"""Whether a merged project means what it should.

`right`: every file means the same as the oracle's. Python is compared by its syntax, without
positions and layout; comments and, block by block, imported names as sets in which each counts as
often as it stands there; TOML by its values; other files by their lines.

`order`: the same statements in the same blocks, but the owner's stand elsewhere among those that
the change brought. Allowed is only that a statement which is the owner's own alone and one which
is in the new template, not in the old, have changed places, and only if neither sets, changes or
calls a method of what the other uses, and neither leaves the block; but one may raise where the
other only gives a variable its value, which nobody sees then. The owner's last lines in a `with`
that only the new template has may as well stand right behind it, and a line of his behind what it
was behind before the change. Where he put the template's own statements into another order, his
order is also free against what the change brought.

`said`: all else is as it should be, but where owner and template changed words for people (a
document or a docstring) his stay, and the merge says so.

`wrong`: anything else.
"""

import ast
import difflib
import io
import itertools
import re
import tokenize
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache

from edits.cases import Case
from edits.code import BODIES, Scope, names_in
from edits.kind import Tree
from litgen_torch.merge.meaning import head_of, key_of, meaning

CLASSES = ("right", "order", "said", "wrong")
NAME = re.compile(r"^\w+(?=\.)")  # of what a method is called of
LOOKS = {"get", "items", "keys", "values", "say"}  # methods that change nothing
LEAVING = (ast.Return, ast.Break, ast.Continue, ast.Raise)


@dataclass
class Verdict:
    """The worst of what was found, and why."""

    kind: str = "right"
    reasons: list[str] = field(default_factory=list)

    def found(self, kind: str, reason: str) -> None:
        self.reasons.append(f"{kind}: {reason}")
        self.kind = max(self.kind, kind, key=CLASSES.index)


def judge(case: Case, result: Tree, kept: tuple[str, ...] = ()) -> Verdict:
    """Compare a merged project with what it should be."""
    verdict = Verdict()
    said = {sentence.split(":")[0] for sentence in kept}
    for path in sorted(result.keys() | case.oracle.keys()):
        here, there = result.get(path), case.oracle.get(path)
        if here == there:
            continue
        if here is None or there is None:
            kind = "said" if path in said else "wrong"
            verdict.found(kind, f"{path} is {'not there' if here is None else 'there'}")
        elif path.endswith(".py"):
            _Python(case, path, path in said, verdict).compare(here, there)
        elif path.endswith(".toml"):
            _compare_toml(path, here, there, verdict)
        elif here.splitlines() != there.splitlines():
            verdict.found("said" if path in said else "wrong", f"{path} has other lines")
    return verdict


@dataclass
class _Python:
    """The comparison of one file."""

    case: Case
    path: str
    is_said: bool
    verdict: Verdict

    def compare(self, here: str, there: str) -> None:
        try:
            one = ast.parse(here.removeprefix("\ufeff"))
        except SyntaxError as error:
            return self.verdict.found("wrong", f"{self.path} does not parse: {error}")
        other = ast.parse(there.removeprefix("\ufeff"))
        words = [Counter(comments(text)) for text in (here, there)]
        if words[0] != words[1]:
            lost, more = words[1] - words[0], words[0] - words[1]
            self._wrong(f"comments: lost {[*lost]}, more {[*more]}")
        if self._let_out(one) != self._let_out(other):
            self.verdict.found("order", f"{self.path}: at the end of a block of the template's")
        self._block(one, one.body, other.body, "")

    def _let_out(self, tree: ast.Module) -> list[str]:
        """Put the owner's lines that end a block of the new template behind it; return them.

        He wrote them between two statements, of which the template has put one into the block.
        """
        found = []
        for node in ast.walk(tree):
            for name, block in ast.iter_fields(node):
                is_block = name in BODIES and isinstance(block, list)
                withs = [x for x in block if isinstance(x, ast.With)] if is_block else []
                for outer in withs:
                    while (
                        len(outer.body) > 1
                        and self._whose(outer) == "template"
                        and self._whose(outer.body[-1]) == "owner"
                    ):
                        last = outer.body.pop()
                        block.insert(block.index(outer) + 1, last)
                        found.append(meaning(last))
        return found

    def _wrong(self, reason: str) -> None:
        self.verdict.found("wrong", f"{self.path}: {reason}")

    def _block(self, around: ast.AST, one: list[ast.stmt], other: list[ast.stmt], at: str) -> None:
        (one, imports), (other, wanted) = _without_imports(one), _without_imports(other)
        if imports != wanted:
            lost, more = wanted - imports, imports - wanted
            self._wrong(f"{at} imports: lost {[*lost]}, more {[*more]}")
        if _has_docstring(one) and _has_docstring(other):
            if meaning(one[0]) != meaning(other[0]) and key_of(one[0], is_first=True) != key_of(
                other[0], is_first=True
            ):
                self.verdict.found(
                    "said" if self.is_said else "wrong", f"{self.path}: {at} docstring"
                )
            one, other = one[1:], other[1:]
        keys = [[meaning(node) for node in block] for block in (one, other)]
        if keys[0] != keys[1]:
            self._statements(one, other, keys, at)

    def _statements(
        self, one: list[ast.stmt], other: list[ast.stmt], keys: list[list[str]], at: str
    ) -> None:
        """Find each statement of the other block in this one, and compare their order."""
        pairs, left = list[tuple[int, int]](), [*range(len(one))]
        unpaired = []
        for j, key in enumerate(keys[1]):
            i = next((i for i in left if keys[0][i] == key), None)
            if i is None:
                unpaired.append(j)
            else:
                left.remove(i)
                pairs.append((i, j))
        for j in unpaired:
            i = next((i for i in left if _is_alike(one[i], other[j])), None)
            if i is None:
                self._wrong(f"{at} lost: {_words(other[j])}")
                continue
            left.remove(i)
            pairs.append((i, j))
            self._inside(one[i], other[j], at)
        for i in left:
            self._wrong(f"{at} more: {_words(one[i])}")
        self._order([(one[i], j) for i, j in sorted(pairs)], at)

    def _inside(self, one: ast.stmt, other: ast.stmt, at: str) -> None:
        where = f"{at} {getattr(one, 'name', type(one).__name__)}".strip()
        for name in BODIES:
            blocks = getattr(one, name, []), getattr(other, name, [])
            if name == "handlers":
                for h, g in zip(*blocks, strict=True):
                    self._block(h, h.body, g.body, where)
            else:
                self._block(one, *blocks, where)

    def _order(self, nodes: list[tuple[ast.stmt, int]], at: str) -> None:
        for (one, i), (other, j) in itertools.combinations(nodes, 2):
            if i < j:
                continue
            words = f"{self.path}: {at} {_words(one)} / {_words(other)}"
            owners = sorted(self._whose(node) for node in (one, other))
            may_swap = owners == ["owner", "template"] and _may_swap(one, other)
            if may_swap or "owner" in owners and self._is_as_before(one, other):
                self.verdict.found("order", words)
            else:
                self.verdict.found("wrong", f"order of {words} ({', '.join(owners)})")

    def _is_as_before(self, one: ast.stmt, other: ast.stmt) -> bool:
        """Whether the owner has them in this order, be it with other names."""
        mine = ast.parse(self.case.mine.get(self.path, ""))
        texts = [ast.unparse(node) for node in _simple(mine)]
        shapes = [NAME.sub("", text) for text in texts]
        wanted = [NAME.sub("", ast.unparse(node)) for node in (one, other)]
        return wanted[1] in shapes[shapes.index(wanted[0]) :] if wanted[0] in shapes else False

    def _whose(self, node: ast.stmt) -> str:
        """Who wrote a statement: the owner, the new template, or both templates."""
        key = _provenance(_Back(self.case.renamed).visit(ast.parse(ast.unparse(node)).body[0]))
        texts = [tree.get(self.path, "") for tree in (self.case.base, self.case.new)]
        before, after = map(_all_keys, texts)
        if key in after and key not in before:
            return "template"
        if _all_keys(self.case.oracle.get(self.path, ""))[key] > after[key] > 0:
            return "owner"  # a copy of his; which of them it is, nobody can tell
        is_moved = any(kind.moves for kind in self.case.kinds)
        return "owner" if key not in before or is_moved else "both"


class _Back(ast.NodeTransformer):
    """The template's names in the place of the owner's."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.names.get(node.arg, node.arg), node.annotation)


def _provenance(node: ast.stmt) -> str:
    if isinstance(node, Scope):
        return f"def {node.name}"
    return head_of(node) if hasattr(node, "body") else meaning(node)


@lru_cache(maxsize=300)
def _all_keys(text: str) -> Counter[str]:
    nodes = ast.walk(ast.parse(text))
    return Counter(_provenance(node) for node in nodes if isinstance(node, ast.stmt))


def _is_alike(one: ast.stmt, other: ast.stmt) -> bool:
    """Whether two compound statements differ in their blocks alone."""
    if not (hasattr(one, "body") and type(one) is type(other) and head_of(one) == head_of(other)):
        return False
    handlers = [[_head(h) for h in getattr(node, "handlers", [])] for node in (one, other)]
    return handlers[0] == handlers[1]


def _head(handler: ast.ExceptHandler) -> str:
    return f"{handler.name} {meaning(handler.type)}"


def _may_swap(one: ast.stmt, other: ast.stmt) -> bool:
    leaving = [[n for n in _walk_inside(x) if isinstance(n, LEAVING)] for x in (one, other)]
    for node, leaves in ((other, leaving[0]), (one, leaving[1])):
        if not all(isinstance(n, ast.Raise) for n in leaves) or leaves and not _only_sets(node):
            return False
    touched, used = zip(*map(_touched_and_used, (one, other)), strict=True)
    return not (touched[0] & (used[1] | touched[1]) or touched[1] & used[0])


def _only_sets(node: ast.stmt) -> bool:
    """Whether all that a statement does is to give variables their values."""
    return isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) for t in node.targets)


def _touched_and_used(node: ast.stmt) -> tuple[set[str], set[str]]:
    """The names that a statement sets or calls methods of, and those that it reads."""
    if isinstance(node, Scope):
        outside = [*node.decorator_list, *getattr(node, "bases", [])]
        args = getattr(node, "args", None)
        outside += [*args.defaults, *args.kw_defaults] if args else []
        inner = ast.Module([ast.Expr(n) for n in outside if n], [])
        return {node.name}, names_in(inner)[1]
    bound, read = names_in(node)
    calls = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
    methods = [f for f in calls if isinstance(f, ast.Attribute)]
    roots = {_root(f.value) for f in methods if f.attr not in LOOKS}
    roots |= {_root(n) for n in ast.walk(node) if _is_set(n)}
    names = Counter(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
    said = Counter(_root(f.value) for f in methods if f.attr == "say")
    read = {name for name in read if names[name] > said[name]}  # not what only prints
    return bound | roots - {"", "torch", "time", "F", "logging", "contextlib"}, read


def _is_set(node: ast.AST) -> bool:
    kinds = (ast.Attribute, ast.Subscript)
    return isinstance(node, kinds) and isinstance(node.ctx, ast.Store)


def _root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _walk_inside(node: ast.stmt) -> list[ast.AST]:
    return [] if isinstance(node, Scope) else [*ast.walk(node)]


def _without_imports(block: list[ast.stmt]) -> tuple[list[ast.stmt], Counter[str]]:
    names = Counter[str]()
    rest = []
    for node in block:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = f"{getattr(node, 'module', '')} {getattr(node, 'level', '')}"
            names.update(f"{module} {alias.name} {alias.asname}" for alias in node.names)
        else:
            rest.append(node)
    return rest, names


def _has_docstring(block: list[ast.stmt]) -> bool:
    return bool(block) and key_of(block[0], is_first=True).startswith("doc ")


def _words(node: ast.stmt) -> str:
    return ast.unparse(node).split("\n")[0][:90]


def comments(text: str) -> list[str]:
    """All comments of a file."""
    tokens = tokenize.generate_tokens(io.StringIO(text.removeprefix("\ufeff")).readline)
    return [token.string.rstrip() for token in tokens if token.type == tokenize.COMMENT]


def _compare_toml(path: str, here: str, there: str, verdict: Verdict) -> None:
    try:
        one, other = (tomllib.loads(text.replace("\r\n", "\n")) for text in (here, there))
    except tomllib.TOMLDecodeError as error:
        return verdict.found("wrong", f"{path} does not parse: {error}")
    if one != other:
        is_order = _sorted(one) == _sorted(other)
        verdict.found("order" if is_order else "wrong", f"{path} has other values")
    words = [
        sorted(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)
        for text in (here, there)
    ]
    if words[0] != words[1]:
        verdict.found("wrong", f"{path} has other comments")


def _sorted(value: object) -> object:
    """The value with its arrays sorted: what the change brings may stand anywhere among them."""
    if isinstance(value, dict):
        return {key: _sorted(inner) for key, inner in value.items()}
    return sorted(map(repr, value)) if isinstance(value, list) else value


def difference(case: Case, result: Tree) -> str:
    """The oracle beside the result, line by line."""
    lines = list[str]()
    for path in sorted(result.keys() | case.oracle.keys()):
        texts = [tree.get(path, "").splitlines() for tree in (case.oracle, result)]
        lines += difflib.unified_diff(*texts, f"oracle/{path}", f"result/{path}", lineterm="")
    return "\n".join(lines)


def is_rightful(case: Case) -> bool:
    """Whether a refusal is due: owner and template both changed a statement, or a file.

    Only where the owner changed something of the template's. What he added, renamed or laid out
    anew does not conflict, but where he uses a variable that the change takes away.
    """
    if any(_uses_what_goes(case, path) for path in case.base.keys() & case.new.keys()):
        return True
    if not any(kind.changes for kind in case.kinds):
        return False
    for path in case.base.keys() | case.new.keys():
        base, mine, new = (tree.get(path) for tree in (case.base, case.mine, case.new))
        if base == new or mine in (base, new):
            continue
        if base is None or mine is None or new is None or not path.endswith(".py"):
            return True
        keys = [_counted(text, case.renamed) for text in (base, mine, new)]
        if (keys[0] - keys[1]) & (keys[0] - keys[2]):
            return True
    return False


def _uses_what_goes(case: Case, path: str) -> bool:
    """Whether a statement of the owner's own reads a variable that the new template has not."""
    if not path.endswith(".py") or path not in case.mine or case.base[path] == case.new[path]:
        return False
    here = _simple(_named_back(case.mine[path], tuple(case.renamed.items())))
    known = Counter(meaning(node) for node in _simple(ast.parse(case.base[path])))
    counts = Counter(map(meaning, here)) - known
    read = {name for node in here if counts[meaning(node)] > 0 for name in names_in(node)[1]}
    bound = [names_in(ast.parse(tree[path]))[0] for tree in (case.base, case.new)]
    return bool(read & (bound[0] - bound[1]))


def _simple(tree: ast.AST) -> list[ast.stmt]:
    kinds = (ast.Assign, ast.Expr, ast.AugAssign)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


@lru_cache(maxsize=300)
def _named_back(text: str, names: tuple[tuple[str, str], ...]) -> ast.AST:
    return _Back(dict(names)).visit(ast.parse(text.removeprefix("\ufeff")))


def _counted(text: str, renamed: dict[str, str]) -> Counter[str]:
    """How often each statement stands in a file: where it is, and what it says itself."""
    found = Counter[str]()

    def inside(node: ast.AST, where: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = f"{where}.{child.name}" if isinstance(child, Scope) else where
            if isinstance(child, ast.stmt):
                own = head_of(child) if hasattr(child, "body") else meaning(child)
                found[f"{where} {own}"] += 1
            inside(child, name)

    inside(_named_back(text, tuple(renamed.items())), "")
    return found
