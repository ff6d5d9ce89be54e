"""Which statement of one version of a file is which statement of another.

Equal ones first, in order; then those with the same label (what they define, assign, call, loop
over), then similar ones; then those that somebody moved, wrapped in a block or took out of one.
"""

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from litgen_torch.merge.likeness import defined, likeness
from litgen_torch.merge.source import Block, Source, Statement

ENOUGH = 0.55  # how alike two statements have to be to count as versions of one


@dataclass(eq=False)
class Mates:
    """A one-to-one map from statements of one version to another's, and of their blocks."""

    of: dict[Statement, Statement] = field(default_factory=dict)
    back: dict[Statement, Statement] = field(default_factory=dict)
    blocks: dict[Block, Block] = field(default_factory=dict)
    wraps: dict[Statement, list[Statement]] = field(default_factory=dict)  # new block: what it took
    unwraps: dict[Statement, list[Statement]] = field(default_factory=dict)  # old block: its rest

    def pair(self, a: Statement, b: Statement) -> None:
        self.of[a], self.back[b] = b, a


def align(one: Source, other: Source) -> Mates:
    """The mates of all statements of `one` in `other`."""
    return _Alignment(one, other).mates


class _Alignment:
    def __init__(self, one: Source, other: Source) -> None:
        self.mates = Mates()
        here, there = _once(one), _once(other)
        # What stands once in each file needs no likeness to be found; in which functions of other?
        self.elsewhere = {key: there[key] for key in here.keys() & there.keys()}
        self._block(one.root, other.root)
        self._find_unique(one, other)

    def _block(self, a: Block, b: Block) -> None:
        self.mates.blocks[a] = b
        self._lists(a.statements, b.statements)

    def _lists(self, a: list[Statement], b: list[Statement]) -> None:
        """Pair two lists, and all inside the pairs."""
        pairs = _equal(a, b)
        for (i, j), (k, m) in zip([(-1, -1), *pairs], [*pairs, (len(a), len(b))], strict=True):
            pairs = pairs + self._similar(a, b, range(i + 1, k), range(j + 1, m))
        for i, j in pairs:
            self._pair(a[i], b[j])
        self._moved(a, b)
        self._wrapped(self._left(a), self._right(b), self.mates.wraps)
        self._unwrapped(self._left(a), self._right(b))

    def _pair(self, a: Statement, b: Statement) -> None:
        self.mates.pair(a, b)
        rest = list(b.blocks)
        for block in a.blocks:
            alike = [x for x in rest if x.kind == block.kind or rest == b.blocks]
            if alike:
                other = next((x for x in alike if x.head == block.head), alike[0])
                rest.remove(other)
                self._block(block, other)

    def _left(self, a: Sequence[Statement]) -> list[Statement]:
        return [statement for statement in a if statement not in self.mates.of]

    def _right(self, b: Sequence[Statement]) -> list[Statement]:
        return [statement for statement in b if statement not in self.mates.back]

    def _moved(self, a: list[Statement], b: list[Statement]) -> None:
        """Pair what only changed its place in the list."""
        for identity in (_key, defined):
            left, right = self._left(a), self._right(b)
            for one, other in _unique_pairs(left, right, identity):
                self._pair(one, other)

    def _wrapped(
        self, a: list[Statement], b: list[Statement], into: dict[Statement, list[Statement]]
    ) -> None:
        """Pair statements with those inside a block that is only there in the other version."""
        for outer in b:
            for block in outer.blocks:
                left = self._left(a)
                if not _share(left, block.statements):
                    continue
                self._lists(left, block.statements)
                taken = [s for s in left if s in self.mates.of]
                if taken and block is outer.blocks[0]:
                    into[outer] = a[a.index(taken[0]) : a.index(taken[-1]) + 1]

    def _unwrapped(self, a: list[Statement], b: list[Statement]) -> None:
        """Pair statements inside a block that is no more with those that stayed."""
        for outer in a:
            for block in outer.blocks[:1]:
                right = self._right(b)
                if not _share(block.statements, right):
                    continue
                self._lists(block.statements, right)
                taken = [s for s in right if s in self.mates.back]
                if taken:
                    self.mates.unwraps[outer] = b[b.index(taken[0]) : b.index(taken[-1]) + 1]

    def _similar(
        self, a: list[Statement], b: list[Statement], rows: range, columns: range
    ) -> list[tuple[int, int]]:
        """Pairs between two gaps, in order, that are together the most alike."""
        if not rows or not columns:
            return []
        best: dict[tuple[int, int], tuple[float, list[tuple[int, int]]]] = {}
        nothing: tuple[float, list[tuple[int, int]]] = (0.0, [])
        for i in reversed(rows):
            for j in reversed(columns):
                options = [best.get((i + 1, j), nothing), best.get((i, j + 1), nothing)]
                alike = likeness(a[i], b[j])
                if alike >= ENOUGH and not self._is_elsewhere(a[i], b[j]):
                    score, pairs = best.get((i + 1, j + 1), nothing)
                    options.append((score + alike, [(i, j), *pairs]))
                best[i, j] = max(options, key=lambda option: option[0])
        return best[rows[0], columns[0]][1]

    def _is_elsewhere(self, a: Statement, b: Statement) -> bool:
        """Whether one of them is no version of the other, because it stands elsewhere unchanged.

        A statement that was moved to a function is replaced by a call of it; one that has a copy in
        a function, and was changed where it is, is not.
        """
        function = self.elsewhere.get(a.key)
        return b.key in self.elsewhere or (function is not None and repr(function) in b.key)

    def _find_unique(self, one: Source, other: Source) -> None:
        """Pair what stands exactly once, unmatched, in each file: moved to a function, say."""
        left = [s for s in self._left([*one.walk()]) if not s.blocks]
        right = [s for s in self._right([*other.walk()]) if not s.blocks]
        for a, b in _unique_pairs(left, right, _key):
            if not isinstance(a.tree, (ast.Import, ast.ImportFrom, ast.Pass, ast.Return)):
                self._pair(a, b)


def _key(statement: Statement) -> str:
    return statement.key


def _once(source: Source) -> dict[str, str]:
    """What stands exactly once in a file, and in which function."""
    simple = [s for s in source.walk() if not s.blocks]
    counts = Counter(s.key for s in simple)
    return {s.key: _function(s) for s in simple if counts[s.key] == 1}


def _function(statement: Statement) -> str:
    owner = statement.block.owner
    while owner and not isinstance(owner.tree, (ast.FunctionDef, ast.AsyncFunctionDef)):
        owner = owner.block.owner
    return defined(owner) if owner else ""


def _unique_pairs(
    a: list[Statement], b: list[Statement], identity: Callable[[Statement], str]
) -> list[tuple[Statement, Statement]]:
    counts = [Counter(map(identity, statements)) for statements in (a, b)]
    places = {identity(statement): statement for statement in b}
    return [
        (statement, places[name])
        for statement in a
        if (name := identity(statement)) and all(count[name] == 1 for count in counts)
    ]


def _share(a: Sequence[Statement], b: Sequence[Statement]) -> bool:
    """Whether the lists have something in common, so that one may be the other's content."""
    here = {s.key for outer in a for s in outer.walk()}
    there = {s.key for outer in b for s in outer.walk()}
    if here & there:
        return True
    return any(likeness(x, y) >= 0.8 for x in a for y in b)


def _equal(a: list[Statement], b: list[Statement]) -> list[tuple[int, int]]:
    """The longest common subsequence, by meaning; longer statements count more."""
    keys = [[statement.key for statement in statements] for statements in (a, b)]
    start = 0
    while start < min(len(a), len(b)) and keys[0][start] == keys[1][start]:
        start += 1
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, start - 1, -1):
        for j in range(len(b) - 1, start - 1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            if keys[0][i] == keys[1][j]:
                weight = 1 + min(len(keys[0][i]), 1000)
                best[i][j] = max(best[i][j], best[i + 1][j + 1] + weight)
    i = j = start
    pairs = [(k, k) for k in range(start)]
    while i < len(a) and j < len(b):
        if keys[0][i] == keys[1][j] and best[i][j] > max(best[i + 1][j], best[i][j + 1]):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
